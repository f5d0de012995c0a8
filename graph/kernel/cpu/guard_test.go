//go:build unix

package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// guarded is memory between two pages that may not be touched. The race detector does not see into assembly; this does.
type guarded struct{ middle []float32 }

func newGuarded(t *testing.T, floats int) guarded {
	page := os.Getpagesize()
	size := (4*floats + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skipf("no memory map: %v", err)
	}
	t.Cleanup(func() { syscall.Munmap(mem) })
	for _, guard := range [][]byte{mem[:page], mem[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Skipf("no protected memory: %v", err)
		}
	}
	return guarded{unsafe.Slice((*float32)(unsafe.Pointer(&mem[page])), size/4)}
}

// floats returns n floats that touch the page behind, or the one before.
func (g guarded) floats(n int, atEnd bool) []float32 {
	if atEnd {
		return g.middle[len(g.middle)-n:]
	}
	return g.middle[:n:n]
}

// onFault makes a forbidden access fail the test instead of ending the process.
func onFault(t *testing.T, what func() string) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if v := recover(); v != nil {
			t.Fatalf("%s: %v", what(), v)
		}
	}
}

// exhaustive asks for every shape instead of a sample.
var exhaustive = os.Getenv("GEOTUNE_EXHAUSTIVE") != ""

func TestGemmStaysInsideItsOperands(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const most = 40
		ga, gb, gc, gd := newGuarded(t, most*most), newGuarded(t, most*most), newGuarded(t, most*most), newGuarded(t, most)
		for _, g := range []guarded{ga, gb, gc, gd} {
			for i := range g.middle {
				g.middle[i] = float32(i%7) - 3
			}
		}
		r := rand.New(rand.NewPCG(41, 42))
		var packed PackedB
		var m, n, k, form int
		defer onFault(t, func() string { return fmt.Sprintf("%dx%dx%d, form %d", m, k, n, form) })()
		for m = 1; m <= most; m++ {
			for n = 1; n <= most; n++ {
				for k = 1; k <= most; k++ {
					if !exhaustive && r.IntN(24) != 0 {
						continue
					}
					for form = range 8 {
						atEnd := form&1 != 0
						a, b := Dense(ga.floats(m*k, atEnd), m, k), Dense(gb.floats(k*n, atEnd), k, n)
						if form&2 != 0 {
							a = Dense(a.Data, k, m).T()
						}
						if form&4 != 0 {
							b = Dense(b.Data, n, k).T()
						}
						c, bias := Dense(gc.floats(m*n, atEnd), m, n), gd.floats(n, atEnd)
						Gemm(1, a, b, float32(k%2), c)
						GemmBias(1, a, b, bias, c)
						packed.Pack(b)
						GemmPackedBias(1, a, &packed, bias, c)
						if math.IsNaN(float64(gc.middle[0])) {
							t.Fatal("small integers gave NaN")
						}
					}
					clear(gc.middle)
				}
			}
		}
	})
}

func TestPackingLargeOperandsStaysInsideThem(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const most = 1200 * 90
		ga, gb, gc := newGuarded(t, most), newGuarded(t, most), newGuarded(t, most)
		r := rand.New(rand.NewPCG(43, 44))
		var m, n, k int
		defer onFault(t, func() string { return fmt.Sprintf("%dx%dx%d", m, k, n) })()
		for range 16 {
			m, n, k = 30+r.IntN(60), 65+r.IntN(25), 200+r.IntN(1000)
			for form := range 8 {
				atEnd := form&1 != 0
				a, b := Dense(ga.floats(m*k, atEnd), m, k), Dense(gb.floats(k*n, atEnd), k, n)
				if form&2 != 0 {
					a = Dense(a.Data, k, m).T()
				}
				if form&4 != 0 {
					b = Dense(b.Data, n, k).T()
				}
				Gemm(1, a, b, 0, Dense(gc.floats(m*n, atEnd), m, n))
				PackB(Weights{F32: b.Data, Rows: n, Cols: k}, form&4 != 0)
			}
		}
	})
}

func TestProductsWithFewRowsStayInsideTheirOperands(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const most = 700 * 600
		ga, gb, gc, gd := newGuarded(t, most), newGuarded(t, most), newGuarded(t, most), newGuarded(t, 700)
		r := rand.New(rand.NewPCG(45, 46))
		var m, n, k int
		defer onFault(t, func() string { return fmt.Sprintf("%dx%dx%d", m, k, n) })()
		for range 60 {
			m, n, k = 1+r.IntN(17), 120+r.IntN(580), 60+r.IntN(540)
			for form := range 8 {
				atEnd := form&1 != 0
				a, b, c := Dense(ga.floats(m*k, atEnd), m, k), Dense(gb.floats(k*n, atEnd), k, n), Dense(gc.floats(m*n, atEnd), m, n)
				if form&2 != 0 {
					b = Dense(b.Data, n, k).T()
				}
				if form&4 != 0 { // as a product with few columns
					Gemm(1, b.T(), a.T(), float32(n%2), Dense(c.Data, n, m))
				} else {
					Gemm(1, a, b, float32(n%2), c)
					GemmBias(1, a, b, gd.floats(n, atEnd), c)
				}
			}
		}
	})
}

func TestVectorFunctionsStayInsideTheirOperands(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		var gs [4]guarded
		for i := range gs {
			gs[i] = newGuarded(t, 200)
		}
		n := 0
		defer onFault(t, func() string { return fmt.Sprintf("n = %d", n) })()
		step := AdamW{RootCorrection2: 1, Eps: 1}
		for n = range 200 {
			for _, atEnd := range []bool{false, true} {
				x, y, z, w := gs[0].floats(n, atEnd), gs[1].floats(n, atEnd), gs[2].floats(n, atEnd), gs[3].floats(n, atEnd)
				Axpy(1, x, y)
				Scale(x, 0.5)
				Add(z, x, y)
				Mul(z, x, y)
				SoftmaxGrad(z, x, 1)
				SoftmaxRow(z, x)
				Normalize(z, x, 1, 2, 3)
				ScaledProduct(z, x, y, 1)
				AddNormalized(z, x, y, 1, 2)
				NormGrad(z, x, y, 1, 2, 3, 4)
				WeightedNormGrad(z, x, y, w, 1, 2, 3, 4)
				NormSums(x, y, 1)
				WeightedNormSums(x, y, z, 1)
				Rotate(z[:n/2*2], x[:n/2*2], y[:n/2], w[:n/2], 1, 1, 0)
				Rotate(z[n%4:], x[n%4:], y[len(y)-n/4:], w[len(w)-n/4:], 1, 2, n/4*2)
				Deviations(x, 1)
				Dot(x, y)
				Sum(x)
				ExpSub(z, 1)
				for _, c := range activationCases {
					c.f.Apply(z, x)
					c.f.Gradient(z, x, y)
					c.f.Gate(z, x, y)
					c.f.GateGradient(z, w, x, y, w)
					c.f.GateGradient(z, nil, x, y, w)
				}
				step.Step(x, y, z, w)
				if n > 0 {
					bits := unsafe.Slice((*uint16)(unsafe.Pointer(&y[0])), 2*n)
					Widen(x, Weights{BF16: bits[n:]}, 0)
					Widen(x, Weights{F16: bits[n:]}, 0)
				}
				clear(x)
			}
		}
	})
}
