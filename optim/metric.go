package optim

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
)

// gramPower writes (yᵀy + damping·I)^power of a tall y to c, by the eigenvalues of the Gram matrix; those of at most tol of the largest
// count as absent. power is negative.
func gramPower[T dense.Float](w *dense.Workspace[T], y dense.Mat[T], damping, tol, power float64, c dense.Core) {
	defer w.Release(w.Mark())
	r := y.Cols
	g := w.Core(r, r)
	dense.Gram(w, y, g)
	for i := range r {
		g.Set(i, i, g.At(i, i)+damping)
	}
	symmetricPower(w, g, tol, power, c)
}

// symmetricPower writes the power of the symmetric positive v to c, which may be v; eigenvalues of at most tol of the largest give 0. The
// others are as exact as the largest one allows, relative to themselves to 10⁻¹⁶/tol at worst.
func symmetricPower[T dense.Float](w *dense.Workspace[T], v dense.Core, tol, power float64, c dense.Core) {
	defer w.Release(w.Mark())
	r := v.Rows
	u, s, q := w.Core(r, r), w.Values(r), w.Core(r, r)
	dense.EigenSym(w, v, s, u)
	floor := tol * s[0]
	for j, value := range s {
		if value > floor {
			s[j] = math.Pow(value, power)
		} else {
			s[j] = 0
		}
	}
	dense.ScaleColumns(q, u, s)
	dense.Mul(1, q, u.T(), 0, c)
}

// gramTol is the relative eigenvalue below which a direction of a Gram matrix is rounding error.
const gramTol = 1e-12

// precondition writes ∂·(otherᵀ·other + damping·I)⁻¹ for the gradient ∂ of a factor, tall, to d, which may be the gradient.
func precondition[T dense.Float](w *dense.Workspace[T], gradient, other dense.Mat[T], damping float64, d dense.Mat[T]) {
	defer w.Release(w.Mark())
	c := w.Core(other.Cols, other.Cols)
	gramPower(w, other, damping, gramTol, -1, c)
	dense.MulCore(w, contiguous(w, gradient), c, d)
}

// removeRange takes the span of the columns of y out of d.
func removeRange[T dense.Float](w *dense.Workspace[T], y, d dense.Mat[T]) {
	defer w.Release(w.Mark())
	q, _, rank := tallQR(w, y)
	dense.RemoveSpan(w, q.Columns(0, rank), d)
}

// tallQR returns y = Q·R and the rank of y, whose directions are the first columns of Q. y may have fewer rows than columns.
func tallQR[T dense.Float](w *dense.Workspace[T], y dense.Mat[T]) (q dense.Mat[T], r dense.Core, rank int) {
	filled := w.Mat(max(y.Rows, y.Cols), y.Cols)
	q, r = filled.Block(0, 0, y.Rows, y.Cols), w.Core(y.Cols, y.Cols)
	dense.Copy(q, y)
	rank = dense.QR(w, filled, r, dense.RankTol[T]()*dense.Norm(y))
	return q, r, min(rank, y.Rows)
}

// sign replaces a tall y by its matrix sign, with singular values of at most tol of the largest masked.
func sign[T dense.Float](w *dense.Workspace[T], y dense.Mat[T], tol float64) {
	defer w.Release(w.Mark())
	r := y.Cols
	if dense.SquaredNorm(y) == 0 {
		return
	}
	if y.Rows < r {
		square := w.Mat(r, r) // a factor wider than tall: fill up with zero rows
		dense.Copy(square.Block(0, 0, y.Rows, r), y)
		sign(w, square, tol)
		dense.Copy(y, square.Block(0, 0, y.Rows, r))
		return
	}
	c, u, s, v := w.Core(r, r), w.Core(r, r), w.Values(r), w.Core(r, r)
	dense.QR(w, y, c, 0)
	dense.SVD(w, c, u, s, v)
	floor := tol * s[0]
	for j, value := range s {
		if s[j] = 1; value <= floor {
			s[j] = 0
		}
	}
	dense.ScaleColumns(u, u, s)
	dense.Mul(1, u, v.T(), 0, c)
	dense.MulCore(w, contiguous(w, y), c, y)
}

// side is a factor y = Q·R of X = s·B·A: B or the transpose of A.
type side[T dense.Float] struct {
	q              dense.Mat[T] // the first rank columns span y
	upper, inverse dense.Core   // R and its pseudo-inverse
	rank           int
}

func newSide[T dense.Float](w *dense.Workspace[T], y dense.Mat[T]) side[T] {
	s := side[T]{inverse: w.Core(y.Cols, y.Cols)}
	s.q, s.upper, s.rank = tallQR(w, y)
	dense.Pinv(w, s.upper, s.inverse, dense.RankTol[T]())
	return s
}

// riemannianSquaredNorm returns the squared length of the Riemannian gradient of a LowRank point in whatever gauge its factors are. Where X has lower rank, only the gradient of the directions that are there counts. Clipping
// by it does not depend on the factors; their own gradients grow without bound when one factor is much longer than the other.
func riemannianSquaredNorm(p Point) float64 {
	c, ok := p.(*LowRank).withGradients()
	if !ok {
		return 0 // Step reports it
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	return c.riemannianSquaredNorm(w)
}

func (p pair[T]) riemannianSquaredNorm(w *dense.Workspace[T]) float64 {
	defer w.Release(w.Mark())
	u, v := newSide(w, dense.Of(p.b, p.out, p.r)), newSide(w, dense.Of(p.a, p.r, p.in).T())
	gv, gu := w.Mat(p.out, p.r), w.Mat(p.in, p.r)
	dense.MulCore(w, dense.Of(p.gb, p.out, p.r), v.inverse, gv)
	dense.MulCore(w, contiguous(w, dense.Of(p.ga, p.r, p.in).T()), u.inverse, gu)
	dense.RemoveSpan(w, u.q.Columns(0, u.rank), gv)
	return (dense.SquaredNorm(gv) + dense.SquaredNorm(gu)) / (p.scale * p.scale)
}
