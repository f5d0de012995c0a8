package dense

import (
	"math"
	"slices"
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
	n := a.Cols
	x, y := w.Core(n, a.Rows), w.Core(n, n) // columns of a and of v as rows
	Copy(x.T(), a)
	for i := range n {
		y.Set(i, i, 1)
	}
	norms := w.Values(n)
	for sweep := 0; sweep < maxSweeps && rotateAll(x, y, norms); sweep++ {
	}
	order := w.Values(n)
	for i := range n {
		norms[i] = math.Sqrt(sumSquares(x.row(i)))
		order[i] = float64(i)
	}
	slices.SortStableFunc(order, func(i, j float64) int {
		switch a, b := norms[int(i)], norms[int(j)]; {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	for j, from := range order {
		i := int(from)
		s[j] = norms[i]
		for l, value := range y.row(i) {
			v.Set(l, j, value)
		}
		for l, value := range x.row(i) {
			if norms[i] > 0 {
				value /= norms[i]
			}
			u.Set(l, j, value)
		}
	}
	completeZeros(w, u, s)
}

// rotateAll makes every pair of rows of x orthogonal once, by rotations that it also applies to y, and reports whether there were any.
func rotateAll(x, y Core, norms []float64) (rotated bool) {
	for i := range x.Rows {
		norms[i] = sumSquares(x.row(i))
	}
	for i := range x.Rows {
		longest := i
		for j := i + 1; j < x.Rows; j++ {
			if norms[j] > norms[longest] {
				longest = j
			}
		}
		if longest != i {
			swap(x.row(i), x.row(longest))
			swap(y.row(i), y.row(longest))
			norms[i], norms[longest] = norms[longest], norms[i]
		}
		for j := i + 1; j < x.Rows; j++ {
			if rotatePair(x, y, norms, i, j) {
				rotated = true
			}
		}
	}
	return rotated
}

// rotatePair makes rows i and j of x orthogonal and reports whether they were not.
func rotatePair(x, y Core, norms []float64, i, j int) bool {
	p := dot(x.row(i), x.row(j))
	if math.Abs(p) <= jacobiTol*math.Sqrt(norms[i])*math.Sqrt(norms[j]) || p == 0 {
		return false
	}
	zeta := (norms[j] - norms[i]) / (2 * p)
	t := math.Copysign(1/(math.Abs(zeta)+math.Hypot(1, zeta)), zeta)
	c := 1 / math.Sqrt(1+float64(t*t))
	rotate(c, c*t, x.row(i), x.row(j))
	rotate(c, c*t, y.row(i), y.row(j))
	norms[i], norms[j] = max(0, norms[i]-float64(t*p)), norms[j]+float64(t*p)
	return true
}

// rotate replaces a, b by c·a - s·b, s·a + c·b.
func rotate(c, s float64, a, b []float64) {
	b = b[:len(a)]
	for l, p := range a {
		q := b[l]
		a[l] = float64(c*p) - float64(s*q)
		b[l] = float64(s*p) + float64(c*q)
	}
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
