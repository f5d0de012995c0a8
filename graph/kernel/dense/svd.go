package dense

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// jacobiTol is the cosine between two columns below which they count as orthogonal; maxSweeps bounds the number of passes over all
// pairs, of which 6 to 10 are the rule.
const (
	jacobiTol = 1e-15
	maxSweeps = 60
)

// SVD factors a = u·diag(s)·vᵀ for a core of any shape, by one-sided Jacobi rotations (Hestenes 1958; de Rijk's order of norms): for
// q = min(rows, cols), u is rows×q, s has q values in descending order, v is cols×q. Small singular values are as accurate relative to
// their columns as large ones, and u and v are orthonormal to rounding error even where s is 0. a is not changed. Cost: about
// 6·rows·cols² operations for each of 5 to 10 sweeps.
func SVD[T Float](w *Workspace[T], a Core, u Core, s []float64, v Core) {
	if a.Rows < a.Cols {
		a, u, v = a.T(), v, u
	}
	defer w.Release(w.Mark())
	m, n := a.Rows, a.Cols
	z := w.Core(n, m+n) // row i: column i of a, then column i of v
	Copy(z.Columns(0, m).T(), a)
	for i := range n {
		z.Set(i, m+i, 1)
	}
	norms := w.Values(n)
	for sweep := 0; sweep < maxSweeps && rotateAll(z, m, norms); sweep++ {
	}
	for i := range n {
		norms[i] = math.Sqrt(sumSquares(z.row(i)[:m]))
	}
	order := descending(w, norms)
	for j, from := range order {
		i := int(from)
		s[j] = norms[i]
		for l, value := range z.row(i)[m:] {
			v.Set(l, j, value)
		}
		for l, value := range z.row(i)[:m] {
			if norms[i] > 0 {
				value /= norms[i]
			}
			u.Set(l, j, value)
		}
	}
	completeZeros(w, u, s)
}

// rotateAll makes the first m elements of every pair of rows of z orthogonal once, by rotations of the whole rows, and reports whether
// there were any.
func rotateAll(z Core, m int, norms []float64) (rotated bool) {
	for i := range z.Rows {
		norms[i] = sumSquares(z.row(i)[:m])
	}
	for i := range z.Rows {
		longest := i
		for j := i + 1; j < z.Rows; j++ {
			if norms[j] > norms[longest] {
				longest = j
			}
		}
		if longest != i {
			swap(z.row(i), z.row(longest))
			norms[i], norms[longest] = norms[longest], norms[i]
		}
		for j := i + 1; j < z.Rows; j++ {
			if rotatePair(z.row(i), z.row(j), m, &norms[i], &norms[j]) {
				rotated = true
			}
		}
	}
	return rotated
}

// rotatePair makes the first m elements of two rows, of squared lengths na and nb, orthogonal and reports whether they were not.
func rotatePair(a, b []float64, m int, na, nb *float64) bool {
	p := cpu.Dot64(a[:m], b[:m])
	if math.Abs(p) <= jacobiTol*math.Sqrt(*na)*math.Sqrt(*nb) || p == 0 {
		return false
	}
	zeta := (*nb - *na) / (2 * p)
	t := math.Copysign(1/(math.Abs(zeta)+math.Hypot(1, zeta)), zeta)
	c := 1 / math.Sqrt(1+float64(t*t))
	cpu.Rotate64(c, c*t, a, b)
	*na, *nb = max(0, *na-float64(t*p)), *nb+float64(t*p)
	return true
}

func swap(a, b []float64) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// completeZeros replaces the columns of u whose singular value is 0 by unit vectors orthogonal to all others.
func completeZeros[T Float](w *Workspace[T], u Core, s []float64) {
	rank := len(s)
	for rank > 0 && s[rank-1] == 0 {
		rank--
	}
	defer w.Release(w.Mark())
	c := w.Values(u.Rows)
	for j, unit := rank, 0; j < len(s); unit++ {
		clear(c)
		c[unit] = 1
		for range 2 {
			for k := range j {
				removeColumn(u, k, c)
			}
		}
		n := math.Sqrt(sumSquares(c))
		if n < 0.5/math.Sqrt(float64(u.Rows)) { // some unit vector has at least this much outside
			continue
		}
		for i, value := range c {
			u.Set(i, j, value/n)
		}
		j++
	}
}

// removeColumn subtracts from c its part along column k of u.
func removeColumn(u Core, k int, c []float64) {
	var p float64
	for i, value := range c {
		p += float64(u.At(i, k) * value)
	}
	for i := range c {
		c[i] -= float64(p * u.At(i, k))
	}
}

// Pinv writes the pseudo-inverse of a (rows×cols) to inverse (cols×rows): singular values of at most tol times the largest count as 0.
func Pinv[T Float](w *Workspace[T], a, inverse Core, tol float64) {
	defer w.Release(w.Mark())
	q := min(a.Rows, a.Cols)
	u, s, v := w.Core(a.Rows, q), w.Values(q), w.Core(a.Cols, q)
	SVD(w, a, u, s, v)
	for j, value := range s {
		factor := 0.0
		if value > tol*s[0] {
			factor = 1 / value
		}
		for i := range a.Cols {
			v.Set(i, j, v.At(i, j)*factor)
		}
	}
	Mul(1, v, u.T(), 0, inverse)
}
