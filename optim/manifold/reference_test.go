package manifold_test

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel/dense"
	. "github.com/geotune/geotune/optim/manifold"
)

// The reference works on whole m×n matrices, with gonum, and shares no code with the package.

type workspace = dense.Workspace[float64]

func random(rng *rand.Rand, rows, cols int) *mat.Dense {
	data := make([]float64, rows*cols)
	for i := range data {
		data[i] = rng.NormFloat64()
	}
	return mat.NewDense(rows, cols, data)
}

func thin(m *mat.Dense) dense.Mat[float64] {
	rows, cols := m.Dims()
	return dense.Of(mat.DenseCopyOf(m).RawMatrix().Data, rows, cols)
}

func whole(m dense.Mat[float64]) *mat.Dense {
	d := mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j := range m.Cols {
			d.Set(i, j, m.At(i, j))
		}
	}
	return d
}

func mul(factors ...mat.Matrix) *mat.Dense {
	p := mat.DenseCopyOf(factors[0])
	for _, f := range factors[1:] {
		var next mat.Dense
		next.Mul(p, f)
		p = &next
	}
	return p
}

// combine returns a·x + b·y.
func combine(a float64, x mat.Matrix, b float64, y mat.Matrix) *mat.Dense {
	var p, q mat.Dense
	p.Scale(a, x)
	q.Scale(b, y)
	p.Add(&p, &q)
	return &p
}

func gap(x, y mat.Matrix) float64    { return mat.Norm(combine(1, x, -1, y), 2) }
func inner(x, y *mat.Dense) float64  { return mat.Trace(mul(x.T(), y)) }
func decompose(m *mat.Dense) mat.SVD { var s mat.SVD; s.Factorize(m, mat.SVDThin); return s }

// factors returns the singular value decomposition of m.
func factors(m *mat.Dense) (u *mat.Dense, s []float64, v *mat.Dense) {
	d := decompose(m)
	u, v = new(mat.Dense), new(mat.Dense)
	d.UTo(u)
	d.VTo(v)
	return u, d.Values(nil), v
}

// spectral returns u·f(s)·vᵀ.
func spectral(m *mat.Dense, f func(i int, s float64) float64) *mat.Dense {
	u, s, v := factors(m)
	for i := range s {
		s[i] = f(i, s[i])
	}
	return mul(u, mat.NewDiagDense(len(s), s), v.T())
}

func truncated(m *mat.Dense, r int) *mat.Dense {
	return spectral(m, func(i int, s float64) float64 {
		if i < r {
			return s
		}
		return 0
	})
}

// msign sets the singular values above 1e-12 of the largest to 1.
func msign(m *mat.Dense) *mat.Dense {
	var largest float64
	return spectral(m, func(i int, s float64) float64 {
		if i == 0 {
			largest = s
		}
		if s > 1e-12*largest {
			return 1
		}
		return 0
	})
}

// project is the projection of z onto the tangent space of the matrices of rank r at x.
func project(x, z *mat.Dense, r int) *mat.Dense {
	u, _, v := factors(x)
	m, n := x.Dims()
	u, v = mat.DenseCopyOf(u.Slice(0, m, 0, r)), mat.DenseCopyOf(v.Slice(0, n, 0, r))
	pz, zp := mul(u, u.T(), z), mul(z, v, v.T())
	return combine(1, combine(1, pz, 1, zp), -1, mul(u, u.T(), zp))
}

// matrix returns the matrix of a point, vector that of a tangent vector at x.
func matrix(x Point[float64]) *mat.Dense {
	return mul(whole(x.U), mat.NewDiagDense(len(x.S), append([]float64(nil), x.S...)), whole(x.V).T())
}

func vector(x Point[float64], xi Tangent[float64]) *mat.Dense {
	return combine(1, mul(whole(xi.A), whole(x.V).T()), 1, mul(whole(x.U), whole(xi.B).T()))
}

// point returns p·qᵀ in the canonical gauge.
func point(p, q *mat.Dense) Point[float64] {
	w := new(workspace)
	m, r := p.Dims()
	n, _ := q.Dims()
	x := NewPoint(w, m, n, r)
	FromFactors(w, thin(p), thin(q), x, 1e-6, rand.New(rand.NewPCG(1, 99)).NormFloat64)
	return x
}

// tangent projects z onto the tangent space at x through the two thin products.
func tangent(x Point[float64], z *mat.Dense) Tangent[float64] {
	w := new(workspace)
	xi := NewTangent(w, x.U.Rows, x.V.Rows, x.Rank())
	Project(w, x, thin(mul(z, whole(x.V))), thin(mul(z.T(), whole(x.U))), xi)
	return xi
}

func scaled(xi Tangent[float64], c float64) Tangent[float64] {
	out := Tangent[float64]{dense.New[float64](xi.A.Rows, xi.A.Cols), dense.New[float64](xi.B.Rows, xi.B.Cols)}
	for i, v := range xi.A.Data {
		out.A.Data[i] = c * v
	}
	for i, v := range xi.B.Data {
		out.B.Data[i] = c * v
	}
	return out
}

// slope returns the order of e in t between t and t/10.
func slope(e func(t float64) float64, t float64) float64 { return math.Log10(e(t) / e(t/10)) }
