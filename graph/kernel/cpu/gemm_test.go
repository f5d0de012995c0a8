package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// layouts are ways to store a matrix that all denote the same values.
var layouts = []struct {
	name string
	view func(rows, cols int) Mat
}{
	{"row-major", func(r, c int) Mat { return Mat{make([]float32, r*c), r, c, c, 1} }},
	{"transposed", func(r, c int) Mat { return Mat{make([]float32, r*c), r, c, 1, r} }},
	{"padded", func(r, c int) Mat { return Mat{make([]float32, r*(c+3)), r, c, c + 3, 1} }},
	{"strided", func(r, c int) Mat { return Mat{make([]float32, r*(3*c+2)), r, c, 3*c + 2, 3} }},
}

func (m Mat) at(i, j int) *float32 { return &m.Data[i*m.RS+j*m.CS] }

// fill puts a value into every element of the view, and NaN between them.
func fill(m Mat, value func() float32) Mat {
	for i := range m.Data {
		m.Data[i] = float32(math.NaN())
	}
	for i := range m.Rows {
		for j := range m.Cols {
			*m.at(i, j) = value()
		}
	}
	return m
}

func uniform(r *rand.Rand) func() float32 { return func() float32 { return 2*r.Float32() - 1 } }

func clone(m Mat) Mat {
	m.Data = append([]float32(nil), m.Data...)
	return m
}

// biased returns a copy of c with bias in every row.
func biased(c Mat, bias []float32) Mat {
	c = clone(c)
	for i := range c.Rows {
		for j, v := range bias {
			*c.at(i, j) = v
		}
	}
	return c
}

func nan32() float32 { return float32(math.NaN()) }

const eps32 = 0x1p-24 // relative error of one float32 rounding

// checkProductOf compares c with alpha*a*b + beta*c0 in float64, and the elements between those of the view with c0's.
func checkProductOf(t *testing.T, name string, alpha float32, a, b Mat, beta float32, c0, c Mat) {
	t.Helper()
	for i := range c.Rows {
		for j := range c.Cols {
			var sum, size float64
			for p := range a.Cols {
				v := float64(*a.at(i, p)) * float64(*b.at(p, j))
				sum += v
				size += math.Abs(v)
			}
			want, bound := float64(alpha)*sum, math.Abs(float64(alpha))*size
			if beta != 0 {
				want += float64(beta) * float64(*c0.at(i, j))
				bound += math.Abs(float64(beta) * float64(*c0.at(i, j)))
			}
			got := float64(*c.at(i, j))
			if math.IsNaN(got) != math.IsNaN(want) || math.Abs(got-want) > float64(a.Cols+3)*eps32*bound {
				t.Fatalf("%s: c(%d,%d) = %g, want %g", name, i, j, got, want)
			}
			*c.at(i, j), *c0.at(i, j) = 0, 0
		}
	}
	for i, v := range c.Data {
		if math.Float32bits(v) != math.Float32bits(c0.Data[i]) {
			t.Fatalf("%s: element %d outside the view of c was changed to %g", name, i, v)
		}
	}
}

// randomProduct checks one product of random operands, with a bias or without, against float64.
func randomProduct(t *testing.T, r *rand.Rand, m, n, k int) {
	t.Helper()
	la, lb, lc := layouts[r.IntN(len(layouts))], layouts[r.IntN(len(layouts))], layouts[r.IntN(len(layouts))]
	a, b := fill(la.view(m, k), uniform(r)), fill(lb.view(k, n), uniform(r))
	alpha := []float32{1, -0.75}[r.IntN(2)]
	beta := []float32{0, 1, 0.25}[r.IntN(3)]
	c := fill(lc.view(m, n), uniform(r))
	what := fmt.Sprintf("%dx%dx%d a %s, b %s, c %s, alpha %g, beta %g", m, k, n, la.name, lb.name, lc.name, alpha, beta)
	if r.IntN(3) == 0 {
		bias := fill(Dense(make([]float32, n), 1, n), uniform(r)).Data
		c = fill(c, nan32)
		c0 := biased(c, bias)
		GemmBias(alpha, a, b, bias, c)
		checkProductOf(t, "bias, "+what, alpha, a, b, 1, c0, c)
		return
	}
	if beta == 0 {
		c = fill(c, nan32)
	}
	c0 := clone(c)
	Gemm(alpha, a, b, beta, c)
	checkProductOf(t, what, alpha, a, b, beta, c0, c)
}

func TestGemmEqualsFloat64(t *testing.T) { eachLevel(t, testGemm) }

func testGemm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 375 {
		randomProduct(t, r, 1+r.IntN(70), 1+r.IntN(100), 1+r.IntN(90))
	}
	for range 60 { // few rows or few columns
		m, n, k := 1+r.IntN(17), 100+r.IntN(500), 50+r.IntN(600)
		if r.IntN(3) == 0 {
			m, n = n, m
		}
		randomProduct(t, r, m, n, k)
	}
	for _, s := range [][3]int{{1, 1, 1}, {3, 5, 0}, {0, 4, 4}, {4, 0, 4}, {1, 600, 700}, {8, 300, 600}, {200, 210, 530}, {500, 16, 300}, {16, 500, 300}} {
		for range 2 {
			randomProduct(t, r, s[0], s[1], s[2])
		}
	}
}
