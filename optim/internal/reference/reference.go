// Package reference is the geometry of matrices of fixed rank on whole m×n matrices, with gonum. Tests compare package manifold and the
// rules with it; it shares no code with them.
package reference

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// Random returns a matrix of standard normal numbers.
func Random(rng *rand.Rand, rows, cols int) *mat.Dense {
	data := make([]float64, rows*cols)
	for i := range data {
		data[i] = rng.NormFloat64()
	}
	return mat.NewDense(rows, cols, data)
}

// Orthogonal returns a random orthogonal matrix.
func Orthogonal(rng *rand.Rand, n int) *mat.Dense {
	u, _, _ := SVD(Random(rng, n, n))
	return u
}

// Basis returns a random n×n matrix of the given condition number, and its inverse.
func Basis(rng *rand.Rand, n int, condition float64) (q, inverse *mat.Dense) {
	u, v := Orthogonal(rng, n), Orthogonal(rng, n)
	s, si := mat.NewDiagDense(n, nil), mat.NewDiagDense(n, nil)
	for i := range n {
		value := math.Pow(condition, float64(i)/float64(max(1, n-1))-0.5)
		s.SetDiag(i, value)
		si.SetDiag(i, 1/value)
	}
	return Mul(u, s, v.T()), Mul(v, si, u.T())
}

// Mul returns the product of all factors.
func Mul(factors ...mat.Matrix) *mat.Dense {
	p := mat.DenseCopyOf(factors[0])
	for _, f := range factors[1:] {
		var next mat.Dense
		next.Mul(p, f)
		p = &next
	}
	return p
}

// Combine returns a·x + b·y.
func Combine(a float64, x mat.Matrix, b float64, y mat.Matrix) *mat.Dense {
	var p, q mat.Dense
	p.Scale(a, x)
	q.Scale(b, y)
	p.Add(&p, &q)
	return &p
}

// Distance returns the Frobenius norm of x - y, Relative that over the norm of y.
func Distance(x, y mat.Matrix) float64 { return mat.Norm(Combine(1, x, -1, y), 2) }

// Relative returns the Frobenius norm of x - y over that of y.
func Relative(x, y mat.Matrix) float64 { return Distance(x, y) / mat.Norm(y, 2) }

// Inner returns the sum of the products of corresponding elements.
func Inner(x, y *mat.Dense) float64 { return mat.Trace(Mul(x.T(), y)) }

// SVD returns the thin singular value decomposition of m.
func SVD(m mat.Matrix) (u *mat.Dense, s []float64, v *mat.Dense) {
	var d mat.SVD
	d.Factorize(m, mat.SVDThin)
	u, v = new(mat.Dense), new(mat.Dense)
	d.UTo(u)
	d.VTo(v)
	return u, d.Values(nil), v
}

// spectral returns u·f(s)·vᵀ.
func spectral(m *mat.Dense, f func(i int, s float64) float64) *mat.Dense {
	u, s, v := SVD(m)
	for i := range s {
		s[i] = f(i, s[i])
	}
	return Mul(u, mat.NewDiagDense(len(s), s), v.T())
}

// Truncated returns the nearest matrix of rank r.
func Truncated(m *mat.Dense, r int) *mat.Dense {
	return spectral(m, func(i int, s float64) float64 {
		if i < r {
			return s
		}
		return 0
	})
}

// Sign sets the singular values above 1e-12 of the largest to 1 and the others to 0.
func Sign(m *mat.Dense) *mat.Dense {
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

// Project is the projection of z onto the tangent space of the matrices of rank r at x.
func Project(x, z *mat.Dense, r int) *mat.Dense {
	u, _, v := SVD(x)
	m, n := x.Dims()
	u, v = mat.DenseCopyOf(u.Slice(0, m, 0, r)), mat.DenseCopyOf(v.Slice(0, n, 0, r))
	pz, zp := Mul(u, u.T(), z), Mul(z, v, v.T())
	return Combine(1, Combine(1, pz, 1, zp), -1, Mul(u, u.T(), zp))
}

// Slope returns the order of e in t between t and t/10.
func Slope(e func(t float64) float64, t float64) float64 { return math.Log10(e(t) / e(t/10)) }
