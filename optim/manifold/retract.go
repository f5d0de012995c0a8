package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// Retraction writes to c the core, in the frame of a point with singular values s and a tangent vector with core k, of a matrix of rank
// r near X + ξ; a matrix of higher rank stands for its nearest one of rank r. k and c have the frame's shape.
type Retraction[T dense.Float] func(w *dense.Workspace[T], s []float64, k, c dense.Core)

// Retract moves x along xi and writes the point that it reaches to to, which may be x.
func Retract[T dense.Float](w *dense.Workspace[T], x Point[T], xi Tangent[T], rule Retraction[T], to Point[T]) {
	defer w.Release(w.Mark())
	f := NewFrame(w, x, xi)
	c := f.Core(w)
	rule(w, f.S, f.K, c)
	f.Move(w, c, to, nil)
}

// TruncatedSVD is the nearest matrix of rank r to X + ξ. Second order: the error of t·ξ within the tangent space falls as t³.
func TruncatedSVD[T dense.Float](_ *dense.Workspace[T], s []float64, k, c dense.Core) {
	sum(1, s, 1, k, c)
}

// sum writes keep·diag(s,0) + by·k to c.
func sum(keep float64, s []float64, by float64, k, c dense.Core) {
	for i := range k.Rows {
		for j := range k.Cols {
			c.Set(i, j, by*k.At(i, j))
		}
	}
	for i, v := range s {
		c.Set(i, i, c.At(i, i)+float64(keep*v))
	}
}

// pinvTol is the relative singular value below which retractions treat a direction of an r×r matrix as not there.
const pinvTol = 1e-14

// Orthographic is Y·V·(UᵀYV)⁻¹·UᵀY for Y = X + ξ: the matrix of rank r that differs from Y only at right angles to the tangent space.
// It needs no decomposition beyond the r×r inverse and is accurate only while UᵀYV, that is S plus the part of ξ within X's own
// spaces, is well conditioned.
func Orthographic[T dense.Float](w *dense.Workspace[T], s []float64, k, c dense.Core) {
	defer w.Release(w.Mark())
	r := len(s)
	y, inverse, left := w.Core(k.Rows, k.Cols), w.Core(r, r), w.Core(k.Rows, r)
	sum(1, s, 1, k, y)
	dense.Pinv(w, y.Block(0, 0, r, r), inverse, pinvTol)
	dense.Mul(1, y.Block(0, 0, k.Rows, r), inverse, 0, left)
	dense.Mul(1, left, y.Block(0, 0, r, k.Cols), 0, c)
}

// Factorwise is the retraction of LoRA-TSD (arXiv 2609.02734) on the factors X = L·R with L = U, R = diag(S)·Vᵀ:
// (L + ξ·R⁺)·(R + L⁺·(ξ - ξ·R⁺·R)). First order: the error within the tangent space falls as t². It divides by S.
func Factorwise[T dense.Float](w *dense.Workspace[T], s []float64, k, c dense.Core) {
	defer w.Release(w.Mark())
	r := len(s)
	left, right := w.Core(k.Rows, r), w.Core(r, k.Cols)
	dense.Copy(left, k.Block(0, 0, k.Rows, r))
	dense.Copy(right.Block(0, r, r, k.Cols-r), k.Block(0, r, r, k.Cols-r))
	for j, v := range s {
		for i := range k.Rows {
			left.Set(i, j, left.At(i, j)/v)
		}
		left.Set(j, j, left.At(j, j)+1)
		right.Set(j, j, v)
	}
	dense.Mul(1, left, right, 0, c)
}
