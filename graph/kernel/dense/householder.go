package dense

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// householder factors y·P = Q·R by reflections with column pivoting, all in float64, writes Q over y and R·Pᵀ to r (cols×cols, not
// triangular), and returns how many diagonal elements of R are larger than floor. Q is orthonormal whatever the rank. Needs rows ≥ cols.
// Cost: 4·rows·cols² operations in plain loops.
func householder[T Float](w *Workspace[T], y Mat[T], r Core, floor float64) (rank int) {
	defer w.Release(w.Mark())
	m, k := y.Rows, y.Cols
	h := w.Core(k, m) // column j of y in row j; below the diagonal, the reflections
	Copy(h.T(), y)
	diagonal, column := w.Values(k), w.Values(k) // column: which column of y is in which place
	for j := range column {
		column[j] = float64(j)
	}
	for j := range k {
		pivot(h, column, j)
		diagonal[j] = reflector(h.row(j)[j:])
		for l := j + 1; l < k; l++ {
			reflect(h.row(j)[j:], h.row(l)[j:])
		}
		if math.Abs(diagonal[j]) > floor {
			rank = j + 1
		}
	}
	Zero(r)
	for l := range k {
		to := int(column[l])
		for i := range l {
			r.Set(i, to, h.At(l, i))
		}
		r.Set(l, to, diagonal[l])
	}
	q := w.Values(m)
	for l := range k {
		clear(q)
		q[l] = 1
		for j := k - 1; j >= 0; j-- {
			reflect(h.row(j)[j:], q[j:])
		}
		for i, v := range q {
			y.Set(i, l, T(v))
		}
	}
	return rank
}

// pivot brings the column with the longest rest below row j, row j included, into place j.
func pivot(h Core, column []float64, j int) {
	best, longest := j, -1.0
	for l := j; l < h.Rows; l++ {
		if n := sumSquares(h.row(l)[j:]); n > longest {
			best, longest = l, n
		}
	}
	if best == j {
		return
	}
	column[j], column[best] = column[best], column[j]
	a, b := h.row(j), h.row(best)
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

// reflector replaces x by the vector v, of squared length 2, whose reflection I - v·vᵀ takes x to a multiple of the first unit vector,
// and returns that multiple. A zero x gives the zero v: no reflection.
func reflector(x []float64) float64 {
	n := math.Sqrt(sumSquares(x))
	if n == 0 {
		return 0
	}
	alpha := -math.Copysign(n, x[0])
	x[0] -= alpha
	scale := math.Sqrt(2 / sumSquares(x))
	for i := range x {
		x[i] *= scale
	}
	return alpha
}

// reflect computes x -= v·(vᵀ·x).
func reflect(v, x []float64) { cpu.Axpy64(-cpu.Dot64(v, x), v, x) }

func sumSquares(x []float64) float64 { return cpu.Dot64(x, x) }
