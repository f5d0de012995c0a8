package dense

import "math"

// Cholesky factors the symmetric matrix g = rᵀ·r with r upper triangular, reading the upper triangle of g. It reports false, with r
// unusable, if a pivot is not larger than tol times its diagonal element of g: some column of a matrix with this Gram matrix is then,
// to within √tol of its length, a combination of those before it. The test does not depend on the scale of columns.
func Cholesky(g, r Core, tol float64) bool {
	n := g.Rows
	Zero(r)
	for i := range n {
		for j := i; j < n; j++ {
			sum := g.At(i, j)
			for k := range i {
				sum -= float64(r.At(k, i) * r.At(k, j))
			}
			if j > i {
				r.Set(i, j, sum/r.At(i, i))
				continue
			}
			if !(sum > tol*g.At(i, i)) || math.IsInf(sum, 0) {
				return false
			}
			r.Set(i, i, math.Sqrt(sum))
		}
	}
	return true
}

// InvertUpper computes the inverse of the upper triangular r, whose diagonal must not hold zeros.
func InvertUpper(r, inverse Core) {
	n := r.Rows
	Zero(inverse)
	for j := range n {
		inverse.Set(j, j, 1/r.At(j, j))
		for i := j - 1; i >= 0; i-- {
			var sum float64
			for k := i + 1; k <= j; k++ {
				sum += float64(r.At(i, k) * inverse.At(k, j))
			}
			inverse.Set(i, j, -sum/r.At(i, i))
		}
	}
}
