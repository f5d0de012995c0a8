package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// Floor is the smallest singular value of a point. At 0 the matrix would leave the manifold of rank r; nothing divides by values of
// another point's size, so that the floor can be far below rounding of the larger ones.
const Floor = 1e-12

// Point is the m×n matrix X = U·diag(S)·Vᵀ of rank r: U m×r and V n×r with orthonormal columns, S of r values ≥ Floor.
type Point[T dense.Float] struct {
	U, V dense.Mat[T]
	S    []float64
}

// Rank returns r.
func (x Point[T]) Rank() int { return len(x.S) }

// Tangent is the tangent vector ξ = A·Vᵀ + U·Bᵀ at a point (U,S,V): A m×r with UᵀA = 0, B n×r.
type Tangent[T dense.Float] struct{ A, B dense.Mat[T] }

// head returns the view of the first r directions of x, a point of rank r.
func (x Point[T]) head(r int) Point[T] {
	return Point[T]{x.U.Columns(0, r), x.V.Columns(0, r), x.S[:r]}
}

// head returns the view of the coordinates of the first r directions.
func (xi Tangent[T]) head(r int) Tangent[T] {
	return Tangent[T]{xi.A.Columns(0, r), xi.B.Columns(0, r)}
}

// NewPoint returns room for a point, in the memory of w.
func NewPoint[T dense.Float](w *dense.Workspace[T], m, n, r int) Point[T] {
	return Point[T]{w.Mat(m, r), w.Mat(n, r), w.Values(r)}
}

// NewTangent returns a zero tangent vector, in the memory of w.
func NewTangent[T dense.Float](w *dense.Workspace[T], m, n, r int) Tangent[T] {
	return Tangent[T]{w.Mat(m, r), w.Mat(n, r)}
}

// FromFactors writes P·Qᵀ, with P m×r and Q n×r for r ≤ min(m,n), to x in the canonical gauge. Where the product has rank below r it is
// no point of the manifold: its missing singular values become start, a small positive number, in directions that lie in the span of
// the factors as far as that goes and are random beyond it. draw gives standard normal numbers.
func FromFactors[T dense.Float](w *dense.Workspace[T], p, q dense.Mat[T], x Point[T], start float64, draw func() float64) {
	defer w.Release(w.Mark())
	r := x.Rank()
	left, right, core := w.Core(r, r), w.Core(r, r), w.Core(r, r)
	orthonormalise(w, p, x.U, left, draw)
	orthonormalise(w, q, x.V, right, draw)
	dense.Mul(1, left, right.T(), 0, core)
	u, v := w.Core(r, r), w.Core(r, r)
	dense.SVD(w, core, u, x.S, v)
	for j, s := range x.S {
		if s <= Floor {
			x.S[j] = max(start, Floor)
		}
	}
	rotateColumns(w, x.U, u)
	rotateColumns(w, x.V, v)
}

// orthonormalise writes p = q·r with all columns of q orthonormal, those beyond the rank of p random.
func orthonormalise[T dense.Float](w *dense.Workspace[T], p, q dense.Mat[T], r dense.Core, draw func() float64) {
	dense.Copy(q, p)
	rank := dense.QR(w, q, r, dense.RankTol[T]()*dense.Norm(p))
	dense.Zero(r.Block(rank, 0, r.Rows-rank, r.Cols))
	dense.Complete(w, q, rank, draw)
}

// rotateColumns replaces y by y·c.
func rotateColumns[T dense.Float](w *dense.Workspace[T], y dense.Mat[T], c dense.Core) {
	defer w.Release(w.Mark())
	old := w.Mat(y.Rows, y.Cols)
	dense.Copy(old, y)
	dense.MulCore(w, old, c, y)
}

// Reorthogonalise takes rounding errors out of a nearly orthonormal u: u·(3I - uᵀu)/2, which squares the distance from orthonormality.
// Cost: 3·rows·cols² operations.
func Reorthogonalise[T dense.Float](w *dense.Workspace[T], u dense.Mat[T]) {
	defer w.Release(w.Mark())
	g := w.Core(u.Cols, u.Cols)
	dense.Gram(w, u, g)
	for i := range g.Rows {
		for j := range g.Cols {
			g.Set(i, j, -g.At(i, j)/2)
		}
		g.Set(i, i, 1.5+g.At(i, i))
	}
	rotateColumns(w, u, g)
}
