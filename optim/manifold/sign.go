package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// SignTol returns the singular value, relative to the largest, below which a direction is rounding error and has no sign: 1e-7 in
// float32.
func SignTol[T dense.Float]() float64 {
	if _, single := any(T(0)).(float32); single {
		return 1e-7
	}
	return 1e-13
}

// MSign writes to o the core of the steepest direction for the tangent vector with core k in the frame of a point whose bases have rows
// and cols directions, both r for a point of rank r: the matrix sign, which sets all singular values larger than tol times the largest to
// 1 and the others to 0, projected back onto the tangent space. It is the exact sign, by singular value decomposition. projections ≥ 1 is
// how often sign and projection alternate (τ of LoRA-TSD, arXiv 2609.02734): one gives the direction of Riemannion, more bring all
// singular values nearer to 1; with one they are at most 2/√3, and ⟨ξ,o⟩ is the nuclear norm of ξ. o must not be k.
func MSign[T dense.Float](w *dense.Workspace[T], k dense.Core, rows, cols int, tol float64, projections int, o dense.Core) {
	defer w.Release(w.Mark())
	q := min(k.Rows, k.Cols)
	u, s, v := w.Core(k.Rows, q), w.Values(q), w.Core(k.Cols, q)
	for range projections {
		dense.SVD(w, k, u, s, v)
		rank := 0
		for rank < q && s[rank] > tol*s[0] {
			rank++
		}
		dense.Mul(1, u.Columns(0, rank), v.Columns(0, rank).T(), 0, o)
		dense.Zero(o.Block(rows, cols, o.Rows-rows, o.Cols-cols))
		k = o
	}
}
