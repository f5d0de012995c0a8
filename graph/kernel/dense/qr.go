package dense

import "math"

// choleskyTol is the smallest share of a column's squared length outside the columns before it that Cholesky-QR takes on. A float32
// column then keeps two digits in the first pass, which the second makes full.
const choleskyTol = 1e-10

// RankTol returns the relative size below which a direction of a matrix is rounding of its elements.
func RankTol[T Float]() float64 {
	if _, single := any(T(0)).(float32); single {
		return 1e-6
	}
	return 2e-15
}

// QR factors y = Q·R (rows ≥ cols), writes Q over y and R to r (cols×cols), and returns the rank. Directions of length at most floor
// do not count as rank; they come last, and their rows of R are 0 up to floor. The columns of Q are orthonormal to rounding error
// whatever the rank.
//
// It is Cholesky-QR done twice (Yamamoto et al. 2015) with Gram matrices in float64: two Gram matrices and two products. Where y is
// too near to rank deficiency for that, it is Householder's with column pivoting, and R is triangular only up to the order of columns.
func QR[T Float](w *Workspace[T], y Mat[T], r Core, floor float64) (rank int) {
	defer w.Release(w.Mark())
	first, second := w.Core(y.Cols, y.Cols), w.Core(y.Cols, y.Cols)
	if !choleskyPass(w, y, first, floor) {
		return householder(w, y, r, floor)
	}
	if !choleskyPass(w, y, second, 0) {
		householder(w, y, second, 0)
	}
	Mul(1, second, first, 0, r)
	return y.Cols
}

// choleskyPass replaces y by y·R⁻¹ with RᵀR = yᵀy, or reports false and leaves y alone if that is ill conditioned or if some column
// adds a direction no longer than floor.
func choleskyPass[T Float](w *Workspace[T], y Mat[T], r Core, floor float64) bool {
	defer w.Release(w.Mark())
	gram, inverse := w.Core(y.Cols, y.Cols), w.Core(y.Cols, y.Cols)
	Gram(w, y, gram)
	if !Cholesky(gram, r, choleskyTol) {
		return false
	}
	for j := range y.Cols {
		if r.At(j, j) <= floor {
			return false
		}
	}
	InvertUpper(r, inverse)
	applyRight(w, y, inverse)
	return true
}

// applyRight replaces y by y·c for a square core.
func applyRight[T Float](w *Workspace[T], y Mat[T], c Core) {
	defer w.Release(w.Mark())
	old, narrow := w.Mat(y.Rows, y.Cols), w.Mat(c.Rows, c.Cols)
	Copy(old, y)
	Copy(narrow, c)
	Mul(1, old, narrow, 0, y)
}

// MulCore computes y = a·c for a tall a and a core c, which is rounded to the element type.
func MulCore[T Float](w *Workspace[T], a Mat[T], c Core, y Mat[T]) {
	defer w.Release(w.Mark())
	narrow := w.Mat(c.Rows, c.Cols)
	Copy(narrow, c)
	Mul(1, a, narrow, 0, y)
}

// RemoveSpan computes y -= u·(uᵀ·y) for an orthonormal u.
func RemoveSpan[T Float](w *Workspace[T], u, y Mat[T]) {
	defer w.Release(w.Mark())
	c := w.Mat(u.Cols, y.Cols)
	Mul(1, u.T(), y, 0, c)
	Mul(-1, u, c, 1, y)
}

// Complement factors the part of y outside the span of the orthonormal u: y = u·(uᵀ·y) + Q·R. It writes Q over y and R to r
// (cols×cols) and returns how many directions there are, k: the first k columns of Q are orthonormal and orthogonal to u, the first k
// rows of R are their coordinates, the rest is to be ignored. Directions that are shorter than rounding of y do not count, and there
// are at most rows - u.Cols. y is projected twice, which is enough (Giraud, Langou, Rozložník 2005).
func Complement[T Float](w *Workspace[T], u, y Mat[T], r Core) (k int) {
	defer w.Release(w.Mark())
	floor := RankTol[T]() * Norm(y)
	RemoveSpan(w, u, y)
	most := min(y.Cols, y.Rows-u.Cols)
	if most <= 0 || Norm(y) <= floor {
		return 0
	}
	first := w.Core(y.Cols, y.Cols)
	k = y.Cols
	if k > most || !choleskyPass(w, y, first, floor) {
		k = min(most, pivotedQR(w, y, first, floor))
	}
	q, second := y.Columns(0, k), w.Core(k, k)
	RemoveSpan(w, u, q)
	if !choleskyPass(w, q, second, 0) {
		householder(w, q, second, 0)
	}
	Mul(1, second, first.Block(0, 0, k, y.Cols), 0, r.Block(0, 0, k, y.Cols))
	return k
}

// pivotedQR is householder for matrices of any shape; those with fewer rows than columns are filled up with zeros.
func pivotedQR[T Float](w *Workspace[T], y Mat[T], r Core, floor float64) int {
	if y.Rows >= y.Cols {
		return householder(w, y, r, floor)
	}
	defer w.Release(w.Mark())
	square := w.Mat(y.Cols, y.Cols)
	top := square.Block(0, 0, y.Rows, y.Cols)
	Copy(top, y)
	rank := householder(w, square, r, floor)
	Copy(y, top)
	return min(rank, y.Rows)
}

// Complete replaces the columns [rank, cols) of q by directions that make all columns orthonormal, given that those before are: draw
// fills a column with a random direction.
func Complete[T Float](w *Workspace[T], q Mat[T], rank int, draw func() float64) {
	defer w.Release(w.Mark())
	for j := rank; j < q.Cols; j++ {
		c := q.Columns(j, j+1)
		for {
			for i := range q.Rows {
				c.Set(i, 0, T(draw()))
			}
			before := Norm(c)
			RemoveSpan(w, q.Columns(0, j), c)
			if n := Norm(c); n > 1e-3*before {
				break
			}
		}
		RemoveSpan(w, q.Columns(0, j), c)
		n := Norm(c)
		for i := range q.Rows {
			c.Set(i, 0, T(float64(c.At(i, 0))/n))
		}
	}
}

// Orthonormality returns the Frobenius norm of qᵀ·q - I.
func Orthonormality[T Float](w *Workspace[T], q Mat[T]) float64 {
	defer w.Release(w.Mark())
	g := w.Core(q.Cols, q.Cols)
	Gram(w, q, g)
	for i := range q.Cols {
		g.Set(i, i, g.At(i, i)-1)
	}
	return math.Sqrt(SquaredNorm(g))
}
