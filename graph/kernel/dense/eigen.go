package dense

import (
	"math"
	"slices"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// maxShifts bounds the number of shifted steps for an eigenvalue, of which two are the rule.
const maxShifts = 60

// EigenSym factors the symmetric core a = v·diag(s)·vᵀ, reading all of it: v is orthogonal, s has the eigenvalues in descending order.
// It reduces a to tridiagonal form by reflections and that to diagonal form by implicit QL steps (Golub and Van Loan, "Matrix
// Computations", sections 8.3.1 and 8.3.3). Errors are rounding relative to the largest eigenvalue. a is not changed. Cost: about
// 8·n³ operations.
func EigenSym[T Float](w *Workspace[T], a Core, s []float64, v Core) {
	sameShape(a.Rows, a.Cols, a.Cols, a.Rows)
	defer w.Release(w.Mark())
	n := a.Rows
	z, d, e := w.Core(n, n), w.Values(n), w.Values(n)
	tridiagonalise(w, a, d, e, z)
	for first := range n {
		for range maxShifts {
			last := block(d, e, first)
			if last == first {
				break
			}
			qlStep(d, e, first, last, z)
		}
	}
	order := descending(w, d)
	for j, from := range order {
		s[j] = d[int(from)]
		for i, value := range z.row(int(from)) {
			v.Set(i, j, value)
		}
	}
}

// descending returns the indices of values in the order that makes them descend.
func descending[T Float](w *Workspace[T], values []float64) []float64 {
	order := w.Values(len(values))
	for i := range order {
		order[i] = float64(i)
	}
	slices.SortStableFunc(order, func(i, j float64) int {
		switch a, b := values[int(i)], values[int(j)]; {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	return order
}

// tridiagonalise finds an orthogonal z, for which z·a·zᵀ has the diagonal d and, beside it, e[:n-1].
func tridiagonalise[T Float](w *Workspace[T], a Core, d, e []float64, z Core) {
	defer w.Release(w.Mark())
	n := a.Rows
	h, p := w.Core(n, n), w.Values(n) // a row of h below the reduced ones holds its reflection, right of the diagonal
	Copy(h, a)
	for k := range n {
		d[k] = h.At(k, k)
		if k+1 == n {
			break
		}
		v := h.row(k)[k+1:]
		e[k] = reflector(v)
		q := p[:len(v)]
		for i := range q {
			q[i] = cpu.Dot64(h.row(k + 1 + i)[k+1:], v)
		}
		cpu.Axpy64(-cpu.Dot64(v, q)/2, v, q)
		for i := range q {
			row := h.row(k + 1 + i)[k+1:]
			cpu.Axpy64(-v[i], q, row)
			cpu.Axpy64(-q[i], v, row)
		}
	}
	for i := range n {
		z.Set(i, i, 1)
	}
	for k := n - 2; k >= 0; k-- {
		for i := k + 1; i < n; i++ { // the rows above are still those of the identity, and it leaves them alone
			reflect(h.row(k)[k+1:], z.row(i)[k+1:])
		}
	}
}

// block returns the end of the block of the tridiagonal matrix that starts with row first: the elements e beside the diagonal that are
// rounding of those on it count as 0.
func block(d, e []float64, first int) (last int) {
	last = first
	for last+1 < len(d) && math.Abs(e[last]) > 0x1p-53*(math.Abs(d[last])+math.Abs(d[last+1])) {
		last++
	}
	return last
}

// qlStep does an implicit QL step with Wilkinson's shift on the block [first, last] and applies its rotations to the rows of z.
func qlStep(d, e []float64, first, last int, z Core) {
	g := (d[first+1] - d[first]) / (2 * e[first])
	shift := e[first] / (g + math.Copysign(math.Hypot(g, 1), g))
	g = d[last] - d[first] + shift
	s, c, p := 1.0, 1.0, 0.0
	for i := last - 1; i >= first; i-- {
		f, b := float64(s*e[i]), float64(c*e[i])
		r := math.Hypot(f, g)
		e[i+1] = r
		if r == 0 { // the block falls apart
			d[i+1] -= p
			e[last] = 0
			return
		}
		s, c = f/r, g/r
		g = d[i+1] - p
		r = float64((d[i]-g)*s) + float64(2*float64(c*b))
		p = float64(s * r)
		d[i+1] = g + p
		g = float64(c*r) - b
		cpu.Rotate64(c, s, z.row(i), z.row(i+1))
	}
	d[first] -= p
	e[first], e[last] = g, 0
}
