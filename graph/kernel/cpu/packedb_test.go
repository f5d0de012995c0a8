package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// stored returns random weights in each storage type, with the values they denote.
func stored(r *rand.Rand, rows, cols int) map[string]Weights {
	ws := map[string]Weights{
		"f32":  {F32: make([]float32, rows*cols), Rows: rows, Cols: cols},
		"bf16": {BF16: make([]uint16, rows*cols), Rows: rows, Cols: cols},
		"f16":  {F16: make([]uint16, rows*cols), Rows: rows, Cols: cols},
	}
	for i := range rows * cols {
		v := 2*r.Float32() - 1
		ws["f32"].F32[i], ws["bf16"].BF16[i], ws["f16"].F16[i] = v, F32ToBF16(v), F32ToF16(v)
	}
	return ws
}

func widened(w Weights) Mat {
	d := make([]float32, w.Rows*w.Cols)
	Widen(d, w, 0)
	return Dense(d, w.Rows, w.Cols)
}

func TestWidenEqualsElementwise(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		all := make([]uint16, 1<<16)
		for i := range all {
			all[i] = uint16(i)
		}
		for _, from := range []int{0, 1, 37} {
			dst := make([]float32, len(all)-from-5)
			for name, w := range map[string]Weights{"bf16": {BF16: all}, "f16": {F16: all}} {
				Widen(dst, w, from)
				for i, got := range dst {
					want := BF16ToF32(all[from+i])
					if name == "f16" {
						want = F16ToF32(all[from+i])
					}
					if math.Float32bits(got) != math.Float32bits(want) {
						t.Fatalf("%s %#04x: %x, want %x", name, all[from+i], math.Float32bits(got), math.Float32bits(want))
					}
				}
			}
		}
	})
}

func TestGemmPackedEqualsFloat64(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		for range 60 {
			m, n, k := 1+r.IntN(40), 1+r.IntN(80), 1+r.IntN(80)
			if r.IntN(4) == 0 {
				k += 600
			}
			for _, transpose := range []bool{false, true} {
				rows, cols := k, n
				if transpose {
					rows, cols = n, k
				}
				for name, w := range stored(r, rows, cols) {
					la, lc := layouts[r.IntN(len(layouts))], layouts[r.IntN(len(layouts))]
					a, c := fill(la.view(m, k), uniform(r)), fill(lc.view(m, n), uniform(r))
					b := widened(w)
					if transpose {
						b = b.T()
					}
					p := PackB(w, transpose)
					if p.Rows() != k || p.Cols() != n {
						t.Fatalf("packed %dx%d, want %dx%d", p.Rows(), p.Cols(), k, n)
					}
					beta := []float32{0, 1, 0.25}[r.IntN(3)]
					what := fmt.Sprintf("%s transpose %v %dx%dx%d a %s c %s", name, transpose, m, k, n, la.name, lc.name)
					c0 := clone(c)
					GemmPacked(1.5, a, p, beta, c)
					checkProductOf(t, what, 1.5, a, b, beta, c0, c)
					bias := fill(Dense(make([]float32, n), 1, n), uniform(r)).Data
					c = fill(c, nan32)
					c0 = biased(c, bias)
					GemmPackedBias(1.5, a, p, bias, c)
					checkProductOf(t, "bias, "+what, 1.5, a, b, 1, c0, c)
				}
			}
		}
	})
}

func TestProductsWithBlocksOfPackedBEqualFloat64(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(27, 28))
		var again PackedB
		for range 30 {
			k, n := 1+r.IntN(1400), 1+r.IntN(200)
			for name, w := range stored(r, k, n) {
				p := PackB(w, false)
				if w.F32 != nil {
					again.Pack(widened(w))
					p = &again
				}
				p0, j0 := r.IntN(k), r.IntN((n+PanelCols-1)/PanelCols)*PanelCols
				p1, j1 := p0+1+r.IntN(k-p0), j0+1+r.IntN(n-j0)
				b := p.Block(p0, p1, j0, j1)
				m := 1 + r.IntN(40)
				a, c := fill(Dense(make([]float32, m*(p1-p0)), m, p1-p0), uniform(r)), Dense(make([]float32, m*(j1-j0)), m, j1-j0)
				GemmPacked(1, a, &b, 0, c)
				what := fmt.Sprintf("%s %d rows by [%d,%d)x[%d,%d) of %dx%d", name, m, p0, p1, j0, j1, k, n)
				checkProductOf(t, what, 1, a, widened(w).Block(p0, j0, p1-p0, j1-j0), 0, clone(c), c)
			}
		}
	})
}

func TestPackTakesThePlaceOf16Bits(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	ws := stored(r, 40, 50)
	a, c := fill(Dense(make([]float32, 7*40), 7, 40), uniform(r)), Dense(make([]float32, 7*50), 7, 50)
	for _, w := range []string{"bf16", "f16"} {
		p := PackB(ws[w], false)
		p.Pack(widened(ws["f32"]))
		GemmPacked(1, a, p, 0, c)
		checkProductOf(t, w, 1, a, widened(ws["f32"]), 0, clone(c), c)
	}
}

func TestPackedBKeepsStorageSize(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for name, w := range stored(r, 96, 64) {
		want := 2 * 96 * 64
		if name == "f32" {
			want *= 2
		}
		for _, transpose := range []bool{false, true} {
			if got := PackB(w, transpose).Bytes(); got != want {
				t.Errorf("%s: %d bytes, want %d", name, got, want)
			}
		}
	}
}

func TestPackedBSurvivesChangeOfLevel(t *testing.T) {
	defer current.Store(current.Load())
	r := rand.New(rand.NewPCG(25, 26))
	w := stored(r, 50, 40)["bf16"]
	a := fill(Dense(make([]float32, 5*50), 5, 50), uniform(r))
	p := PackB(w, false)
	current.Store(int32(generic))
	c := Dense(make([]float32, 5*40), 5, 40)
	GemmPacked(1, a, p, 0, c)
	checkProductOf(t, "packed before", 1, a, widened(w), 0, clone(c), c)
}
