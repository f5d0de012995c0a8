//go:build unix

package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// doubles returns n float64 values that touch the page behind, or the one before.
func (g guarded) doubles(n int, atEnd bool) []float64 {
	f := g.floats(2*n, atEnd)
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(f))), n)
}

// lanesOf returns random matrices of the given stride that touch an unmapped page, with NaN between the rows.
func lanesOf(r *rand.Rand, g guarded, rows, cols, stride int, atEnd bool) LaneMat {
	m := LaneMat{Data: g.doubles(Lanes*((rows-1)*stride+cols), atEnd), Rows: rows, Cols: cols, Stride: stride}
	for i := range m.Data {
		m.Data[i] = math.NaN()
	}
	for i := range rows {
		for j := range cols {
			for l := range Lanes {
				m.At(i, j)[l] = r.NormFloat64()
			}
		}
	}
	return m
}

// sameLanes reports whether both hold the same bits, those between the rows included.
func sameLanes(a, b LaneMat) bool {
	return slices.EqualFunc(a.Data, b.Data, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

func copyLanes(m LaneMat) LaneMat {
	m.Data = slices.Clone(m.Data)
	return m
}

// Every level computes what the definition says, operation by operation, and touches nothing else.
func TestLanesEqualTheirDefinition(t *testing.T) {
	const most = 20
	var g [4]guarded
	for i := range g {
		g[i] = newGuarded(t, 2*Lanes*most*(most+3))
	}
	fma := func(sum, x, y *[Lanes]float64) {
		for l := range sum {
			sum[l] = math.FMA(-x[l], y[l], sum[l])
		}
	}
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(61, 62))
		var n, cols, k int
		defer onFault(t, func() string { return "lanes" })()
		check := func(what string, got, want LaneMat) {
			t.Helper()
			if !sameLanes(got, want) {
				t.Fatalf("%s of %d rows, %d columns, %d terms differs from its definition", what, n, cols, k)
			}
		}
		for range 1500 {
			n, cols, k = 1+r.IntN(most), 1+r.IntN(most), r.IntN(most+1)
			gap, atEnd := r.IntN(3), r.IntN(2) == 0
			square := lanesOf(r, g[0], n, n, n+gap, atEnd)
			y := lanesOf(r, g[1], n, cols, cols+gap, atEnd)

			want := copyLanes(y)
			if k > 0 {
				a, b := lanesOf(r, g[2], n, k, k+gap, atEnd), lanesOf(r, g[3], k, cols, cols+gap, atEnd)
				for i := range n {
					for j := range cols {
						for p := range k {
							fma(want.At(i, j), a.At(i, p), b.At(p, j))
						}
					}
				}
				MulSub(a, b, y)
				check("product", y, want)
			}

			for i := range n {
				for j := range cols {
					for p := range i {
						fma(want.At(i, j), square.At(i, p), want.At(p, j))
					}
				}
			}
			SolveLower(square, y)
			check("forward substitution", y, want)

			inverses := lanesOf(r, g[2], 1, n, n, atEnd)
			for i := n - 1; i >= 0; i-- {
				for j := range cols {
					sum := want.At(i, j)
					for p := i + 1; p < n; p++ {
						fma(sum, square.At(i, p), want.At(p, j))
					}
					for l := range sum {
						sum[l] *= inverses.At(0, i)[l]
					}
				}
			}
			SolveUpper(square, inverses.Data, y)
			check("backward substitution", y, want)

			panel := lanesOf(r, g[3], n, min(cols, 8), min(cols, 8)+gap, atEnd)
			want = copyLanes(panel)
			for i := 1; i < n; i++ {
				c := want.At(i, 0)
				for l := range c {
					c[l] *= inverses.At(0, 0)[l]
				}
				for j := 1; j < panel.Cols; j++ {
					fma(want.At(i, j), c, want.At(0, j))
				}
			}
			panel.Eliminate(inverses.At(0, 0))
			check("elimination", panel, want)

			skew := lanesOf(r, g[3], n, n, n+gap, atEnd)
			want = copyLanes(skew)
			for i := range n {
				for j := range n {
					for l := range Lanes {
						want.At(i, j)[l] = 0.25 * (square.At(j, i)[l] - square.At(i, j)[l])
					}
				}
			}
			skew.Skew(0.25, square)
			check("skew part", skew, want)
		}
	})
}

func TestPivotsAreTheFirstOfLargestMagnitude(t *testing.T) {
	nan := math.NaN()
	eachLevel(t, func(t *testing.T) {
		m := LaneMat{Data: []float64{
			1, -3, 0, nan,
			-2, 3, 0, 1,
			2, nan, 0, 2,
			1, 1, 0, 9,
		}, Rows: 4, Cols: 1, Stride: 1}
		if got, want := m.Pivots(), [Lanes]int{1, 0, 0, 0}; got != want {
			t.Errorf("rows %v, want %v", got, want)
		}
		if got, want := m.Block(1, 0, 3, 1).Pivots(), [Lanes]int{0, 0, 0, 2}; got != want {
			t.Errorf("rows %v, want %v", got, want)
		}
	})
}

func TestRowsOfLanesConvert(t *testing.T) {
	g, rows := newGuarded(t, 2*Lanes*40), [Lanes]guarded{}
	for l := range rows {
		rows[l] = newGuarded(t, 40)
	}
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(63, 64))
		defer onFault(t, func() string { return "rows" })()
		for n := 1; n <= 40; n++ {
			for _, atEnd := range []bool{false, true} {
				m := lanesOf(r, g, 1, n, n, atEnd)
				var out, in [Lanes][]float32
				for l := range out {
					out[l], in[l] = rows[l].floats(n, atEnd), make([]float32, n)
				}
				m.Row(0, &out)
				for l := range out {
					for j, v := range out[l] {
						if v != float32(m.At(0, j)[l]) {
							t.Fatalf("element %d of %d in lane %d became %v, was %v", j, n, l, v, m.At(0, j)[l])
						}
						in[l][j] = r.Float32()
						out[l][j] = in[l][j]
					}
				}
				m.SetRow(0, &out)
				for l := range in {
					for j, v := range in[l] {
						if m.At(0, j)[l] != float64(v) {
							t.Fatalf("value %v became element %d of %d in lane %d, %v", v, j, n, l, m.At(0, j)[l])
						}
					}
				}
			}
		}
	})
}

func TestLanesRejectBadOperands(t *testing.T) {
	m := LaneMat{Data: make([]float64, Lanes*12), Rows: 3, Cols: 4, Stride: 4}
	short := LaneMat{Data: make([]float64, Lanes*11), Rows: 3, Cols: 4, Stride: 4}
	square := m.Block(0, 0, 3, 3)
	var s [Lanes]float64
	for name, f := range map[string]func(){
		"block":          func() { m.Block(1, 1, 3, 3) },
		"inner sizes":    func() { MulSub(m, m, m) },
		"short operand":  func() { MulSub(square, short, m) },
		"triangle":       func() { SolveLower(m, m) },
		"inverses":       func() { SolveUpper(square, make([]float64, 8), m) },
		"wide step":      func() { LaneMat{Data: make([]float64, Lanes*18), Rows: 2, Cols: 9, Stride: 9}.Eliminate(&s) },
		"skew of oblong": func() { square.Skew(1, m) },
		"short row":      func() { m.SetRow(0, &[Lanes][]float32{}) },
		"missing row":    func() { m.Row(3, &[Lanes][]float32{}) },
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
