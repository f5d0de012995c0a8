package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestGemmIsTheSameForAnyNumberOfThreads(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(31, 32))
		shapes := [][3]int{{300, 300, 300}, {16, 700, 1000}, {700, 16, 600}, {4, 1000, 1000}, {1, 2000, 900}, {200, 330, 1100}, {1000, 1, 700}, {7, 1500, 1500}}
		forms, threads := []struct{ a, b int }{{0, 0}, {0, 1}, {1, 0}, {3, 3}}, []int{1, 2, 8}
		if testing.Short() {
			forms, threads = forms[:2], threads[1:]
		}
		for _, s := range shapes {
			for _, lay := range forms {
				a := fill(layouts[lay.a].view(s[0], s[2]), uniform(r))
				b := fill(layouts[lay.b].view(s[2], s[1]), uniform(r))
				bias := fill(Dense(make([]float32, s[1]), 1, s[1]), uniform(r)).Data
				var first []float32
				withProcs(threads, func(p int) {
					c := Dense(make([]float32, 2*s[0]*s[1]), 2*s[0], s[1])
					Gemm(1, a, b, 0, c.Block(0, 0, s[0], s[1]))
					GemmBias(1, a, b, bias, c.Block(s[0], 0, s[0], s[1]))
					if first == nil {
						first = c.Data
					}
					for i, v := range c.Data {
						if v != first[i] {
							t.Fatalf("%v: element %d is %g with %d threads, %g with %d", s, i, v, p, first[i], threads[0])
						}
					}
				})
			}
		}
	})
}

func TestGemmBatchEqualsSingleProducts(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(33, 34))
		for _, s := range [][4]int{{0, 3, 3, 3}, {1, 5, 6, 7}, {3, 150, 160, 170}, {20, 8, 8, 8}, {7, 40, 33, 65}, {60, 64, 64, 64}, {5, 33, 1, 20}} {
			for _, shared := range []bool{false, true} {
				n, m, cols, k := s[0], s[1], s[2], s[3]
				sb := k * cols
				if shared {
					sb = 0
				}
				// Filled as one tall matrix each, so that all products of the batch have values.
				a := fill(Dense(make([]float32, max(n, 1)*m*k), max(n, 1)*m, k), uniform(r)).Block(0, 0, m, k)
				b := fill(Dense(make([]float32, max(n, 1)*k*cols), max(n, 1)*cols, k), uniform(r)).Block(0, 0, cols, k).T()
				withProcs([]int{1, 2}, func(p int) {
					got := Dense(make([]float32, max(n, 1)*m*cols), m, cols)
					want := clone(got)
					GemmBatch(n, 2, a, b, 0, got, m*k, sb, m*cols)
					for i := range n {
						Gemm(2, a.shift(i*m*k), b.shift(i*sb), 0, want.shift(i*m*cols))
					}
					for i, v := range got.Data {
						if v != want.Data[i] {
							t.Fatalf("%v, %d threads: element %d is %g, want %g", s, p, i, v, want.Data[i])
						}
					}
				})
			}
		}
	})
}

func TestGemmPropagatesNaNAndInf(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		inf := float32(math.Inf(1))
		for _, bad := range []float32{float32(math.NaN()), inf, -inf} {
			for _, s := range [][3]int{{3, 5, 7}, {30, 50, 40}, {1, 40, 33}, {3, 300, 50}} {
				m, n, k := s[0], s[1], s[2]
				ones := func(rows, cols int) Mat {
					return fill(Dense(make([]float32, rows*cols), rows, cols), func() float32 { return 1 })
				}
				a, b, c := ones(m, k), ones(k, n), ones(m, n)
				*a.at(m/2, k-1) = bad
				Gemm(1, a, b, 0, c)
				for i := range m {
					for j := range n {
						want := float32(k)
						if i == m/2 {
							want = bad
						}
						if got := *c.at(i, j); got != want && !(got != got && want != want) {
							t.Fatalf("%v: c(%d,%d) = %g, want %g", s, i, j, got, want)
						}
					}
				}
			}
		}
	})
}

func TestGemmWithoutTermsScales(t *testing.T) {
	c := Dense([]float32{1, 2, 3, 4}, 2, 2)
	Gemm(1, Dense(nil, 2, 0), Dense(nil, 0, 2), 0.5, c)
	if c.Data[3] != 2 {
		t.Errorf("k = 0, beta = 0.5: %v", c.Data)
	}
	nan := float32(math.NaN())
	Gemm(0, Dense([]float32{nan, nan}, 2, 1), Dense([]float32{nan, nan}, 1, 2), 0, c)
	if c.Data[0] != 0 || c.Data[3] != 0 {
		t.Errorf("alpha = beta = 0: %v", c.Data)
	}
	GemmBias(0, Dense([]float32{nan, nan}, 2, 1), Dense([]float32{nan, nan}, 1, 2), []float32{1, 2}, c)
	if c.Data[0] != 1 || c.Data[3] != 2 {
		t.Errorf("alpha = 0, bias 1, 2: %v", c.Data)
	}
}

func TestGemmRejectsBadOperands(t *testing.T) {
	x := make([]float32, 12)
	for name, f := range map[string]func(){
		"inner sizes": func() { Gemm(1, Dense(x, 3, 4), Dense(x, 3, 4), 0, Dense(x[:9], 3, 3)) },
		"short bias":  func() { GemmBias(1, Dense(x, 3, 4), Dense(x, 4, 3), x[:2], Dense(make([]float32, 9), 3, 3)) },
		"packed bias": func() {
			GemmPackedBias(1, Dense(x, 3, 4), PackB(Weights{F32: x, Rows: 4, Cols: 3}, false), nil, Dense(make([]float32, 9), 3, 3))
		},
		"short a":      func() { Gemm(1, Dense(x[:11], 3, 4), Dense(x, 4, 3), 0, Dense(x[:9], 3, 3)) },
		"short c":      func() { Gemm(1, Dense(x, 3, 4), Dense(x, 4, 3), 0, Dense(x[:8], 3, 3)) },
		"stride":       func() { Gemm(1, Mat{x, 3, 4, -1, 1}, Dense(x, 4, 3), 0, Dense(x[:9], 3, 3)) },
		"block":        func() { Dense(x, 3, 4).Block(1, 1, 3, 3) },
		"short vector": func() { Axpy(1, x, x[:3:3]) },
		"short up":     func() { SiLU.Gate(x, x, x[:3:3]) },
		"activation":   func() { Activation(3).Apply(x, x) },
		"short x":      func() { NormGrad(x, x, x[:3:3], 1, 0, 1, 0) },
		"packed block": func() { PackB(Weights{F32: x, Rows: 1, Cols: 12}, false).Block(0, 1, 3, 12) },
		"weights":      func() { PackB(Weights{F32: x, Rows: 4, Cols: 4}, false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestProductsAllocateNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 36))
	mat := func(rows, cols int) Mat { return fill(Dense(make([]float32, rows*cols), rows, cols), uniform(r)) }
	const n = 180 // enough for several threads
	big, wide, small := mat(n, n), mat(n, n), mat(8, 8)
	out := mat(n, n)
	packed := PackB(Weights{F32: wide.Data, Rows: n, Cols: n}, true)
	withProcs([]int{1, 2}, func(p int) {
		for name, f := range map[string]func(){
			"large":      func() { Gemm(1, big, wide, 0, out) },
			"transposed": func() { Gemm(1, big.T(), wide.T(), 1, out.T()) },
			"small":      func() { Gemm(1, small, small, 0, out.Block(0, 0, 8, 8)) },
			"packed":     func() { GemmPacked(1, big, packed, 0, out) },
			"bias":       func() { GemmBias(1, big, wide, big.Data[:n], out) },
			"few rows":   func() { GemmBias(1, big.Block(0, 0, 2, n), wide.T(), big.Data[:n], out.Block(0, 0, 2, n)) },
			"pack": func() {
				packed.Pack(wide)
				b := packed.Block(0, n, 32, n)
				GemmPacked(1, big, &b, 0, out.Block(0, 32, n, n-32))
			},
			"batch":      func() { GemmBatch(30, 1, small, wide.Block(0, 0, 8, 8), 0, out.Block(0, 0, 8, 8), 0, 8, 8) },
			"exp":        func() { ExpSub(out.Data, 1) },
			"activation": func() { GELU.GateGradient(out.Data, nil, out.Data, big.Data[:len(out.Data)], out.Data) },
		} {
			if n := testing.AllocsPerRun(20, f); n >= 1 { // less than one: another thread's first scratch memory
				t.Errorf("%s, %d threads: %v allocations a call", name, p, n)
			}
		}
	})
}

func FuzzGemm(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(5), uint16(7))
	f.Add(uint64(2), uint8(29), uint8(64), uint16(513))
	f.Add(uint64(3), uint8(170), uint8(33), uint16(65))
	f.Fuzz(func(t *testing.T, seed uint64, m, n uint8, k uint16) {
		r := rand.New(rand.NewPCG(seed, 0))
		defer current.Store(current.Load())
		levels := machineLevels()
		current.Store(int32(levels[r.IntN(len(levels))]))
		randomProduct(t, r, int(m), int(n), int(k%2048))
	})
}
