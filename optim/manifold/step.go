package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// Step says how Advance moves a point.
type Step struct {
	// Rate multiplies the direction, Keep the point itself: 1 - η·γ for decoupled weight decay γ.
	Rate, Keep float64
	// Projections, if positive, makes the direction the projected matrix sign of the vector (see MSign); 0 leaves the vector as it is.
	Projections int
	// DivideA and DivideB divide the coordinates A and B of a direction without sign; 0 counts as 1.
	DivideA, DivideB float64
}

// Advance moves x to SVD_r(Keep·X - Rate·D) and the momentum along with it by re-projection. The direction D comes from ahead, or from
// the momentum itself if ahead is nil; that is the economical form, in which direction, retraction and transport share one frame: one
// orthonormal complement a side and one or two small singular value decompositions. It equals the naive algorithm on factors of rank
// 2r to rounding error.
func Advance[T dense.Float](w *dense.Workspace[T], x Point[T], momentum Tangent[T], ahead *Tangent[T], s Step) {
	if s.Rate == 0 && s.Keep == 1 {
		return
	}
	defer w.Release(w.Mark())
	vector := momentum
	if ahead != nil {
		vector = *ahead
	}
	if SquaredNorm(vector) == 0 { // no direction: the point only shrinks, and its tangent space stays
		shrink(x.S, s.Keep)
		return
	}
	f := NewFrame(w, x, vector)
	c := f.core(w, s)
	if ahead == nil {
		f.Move(w, c, x, &momentum)
		return
	}
	before := Point[T]{f.U.Columns(0, f.Rank()), f.V.Columns(0, f.Rank()), f.S}
	f.Move(w, c, x, nil)
	Transport(w, before, momentum, x, momentum)
}

// AdvanceWithin is Advance along the momentum of a point of the given rank, the first directions of x, to another rank up to that of x:
// singular values of at most tolerance times the norm of Keep·X - Rate·D are dropped, and directions of D outside the spaces of X
// become directions of X where they are larger. It returns the new rank, at least 1; what x and momentum hold beyond it is 0.
func AdvanceWithin[T dense.Float](w *dense.Workspace[T], x Point[T], rank int, momentum Tangent[T], s Step, tolerance float64) int {
	defer w.Release(w.Mark())
	head := momentum.head(rank)
	if s.Rate == 0 && s.Keep == 1 || SquaredNorm(head) == 0 {
		shrink(x.S[:rank], s.Keep)
		return rank
	}
	f := NewFrame(w, x.head(rank), head)
	return f.moveWithin(w, f.core(w, s), tolerance, x, &momentum)
}

// core returns the core of Keep·X - Rate·D.
func (f Frame[T]) core(w *dense.Workspace[T], s Step) dense.Core {
	c, o := f.Core(w), f.K
	switch {
	case s.Projections > 0:
		o = f.Core(w)
		MSign(w, f.K, f.Rank(), f.Rank(), SignTol[T](), s.Projections, o)
	case s.DivideA != 0 || s.DivideB != 0:
		o = f.Core(w)
		divide(f.K, f.Rank(), s.DivideA, s.DivideB, o)
	}
	sum(s.Keep, f.S, -s.Rate, o, c)
	return c
}

// shrink multiplies singular values.
func shrink(s []float64, keep float64) {
	for j := range s {
		s[j] = max(s[j]*keep, Floor)
	}
}

// divide writes the core of (A/a, B/b) to o, where k is that of (A, B): B has the first r rows, A the others.
func divide(k dense.Core, r int, a, b float64, o dense.Core) {
	for i := range k.Rows {
		by := b
		if i >= r {
			by = a
		}
		if by == 0 {
			by = 1
		}
		for j := range k.Cols {
			o.Set(i, j, k.At(i, j)/by)
		}
	}
}
