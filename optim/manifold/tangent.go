package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// Project writes to xi the orthogonal projection of an m×n matrix Z onto the tangent space at x, given zv = Z·V (m×r) and ztu = Zᵀ·U
// (n×r): A = (I - U·Uᵀ)·Z·V, B = Zᵀ·U. For a gradient Z this is the Riemannian gradient. xi may be (zv, ztu). Cost: 4·m·r² operations.
func Project[T dense.Float](w *dense.Workspace[T], x Point[T], zv, ztu dense.Mat[T], xi Tangent[T]) {
	dense.Copy(xi.A, zv)
	dense.Copy(xi.B, ztu)
	dense.RemoveSpan(w, x.U, xi.A)
}

// ProjectFactors is Project of Z = P·Qᵀ for P m×k and Q n×k. Cost: 4·(m+n)·k·r operations.
func ProjectFactors[T dense.Float](w *dense.Workspace[T], x Point[T], p, q dense.Mat[T], xi Tangent[T]) {
	defer w.Release(w.Mark())
	qv, pu := w.Mat(q.Cols, x.Rank()), w.Mat(p.Cols, x.Rank())
	dense.Mul(1, q.T(), x.V, 0, qv)
	dense.Mul(1, p.T(), x.U, 0, pu)
	dense.Mul(1, p, qv, 0, xi.A)
	dense.Mul(1, q, pu, 0, xi.B)
	dense.RemoveSpan(w, x.U, xi.A)
}

// Transport moves the tangent vector xi at x to the point y: the projection of the same matrix onto the tangent space there. Cost:
// 8·(m+n)·r² operations.
func Transport[T dense.Float](w *dense.Workspace[T], x Point[T], xi Tangent[T], y Point[T], to Tangent[T]) {
	defer w.Release(w.Mark())
	m, n, r := x.U.Rows, x.V.Rows, x.Rank()
	p, q := w.Mat(m, 2*r), w.Mat(n, 2*r) // ξ = [A U]·[V B]ᵀ
	dense.Copy(p.Columns(0, r), xi.A)
	dense.Copy(p.Columns(r, 2*r), x.U)
	dense.Copy(q.Columns(0, r), x.V)
	dense.Copy(q.Columns(r, 2*r), xi.B)
	ProjectFactors(w, y, p, q, to)
}

// Inner returns the inner product of two tangent vectors at one point, that of the matrices: ⟨A,A'⟩ + ⟨B,B'⟩.
func Inner[T dense.Float](a, b Tangent[T]) float64 {
	return dense.Inner(a.A, b.A) + dense.Inner(a.B, b.B)
}

// SquaredNorm returns the squared length of a tangent vector.
func SquaredNorm[T dense.Float](xi Tangent[T]) float64 {
	return dense.SquaredNorm(xi.A) + dense.SquaredNorm(xi.B)
}
