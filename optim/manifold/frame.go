package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// Frame is a pair of orthonormal bases that hold a point and a tangent vector at it: X = U·diag(S,0)·Vᵀ and ξ = U·K·Vᵀ, where U is
// m×(r+k) for k ≤ min(r, m-r), V alike, and the first r columns are the point's own. The block of K beyond r in both directions is 0.
type Frame[T dense.Float] struct {
	U, V dense.Mat[T]
	K    dense.Core
	S    []float64
}

// NewFrame returns the frame of x and xi, in the memory of w. The bases are copies, so that the point may move afterwards. Cost: one
// orthonormal complement a side, about 12·(m+n)·r² operations.
func NewFrame[T dense.Float](w *dense.Workspace[T], x Point[T], xi Tangent[T]) Frame[T] {
	r := x.Rank()
	u, left, ku := extend(w, x.U, xi.A)
	v, right, kv := extend(w, x.V, xi.B)
	f := Frame[T]{u, v, w.Core(r+ku, r+kv), w.Values(r)}
	copy(f.S, x.S)
	c := w.Mat(r, r)
	dense.Mul(1, xi.B.T(), x.V, 0, c)
	dense.Copy(f.K.Block(0, 0, r, r), c)
	dense.Copy(f.K.Block(0, r, r, kv), right.Block(0, 0, kv, r).T())
	dense.Copy(f.K.Block(r, 0, ku, r), left.Block(0, 0, ku, r))
	return f
}

// extend returns a basis of the spans of u and y that starts with u, the coordinates of y in its k further columns, and k.
func extend[T dense.Float](w *dense.Workspace[T], u, y dense.Mat[T]) (basis dense.Mat[T], coordinates dense.Core, k int) {
	r := u.Cols
	basis, coordinates = w.Mat(u.Rows, 2*r), w.Core(r, r)
	dense.Copy(basis.Columns(0, r), u)
	q := basis.Columns(r, 2*r)
	dense.Copy(q, y)
	k = dense.Complement(w, u, q, coordinates)
	return basis.Columns(0, r+k), coordinates, k
}

// Rank returns the rank of the point.
func (f Frame[T]) Rank() int { return len(f.S) }

// Core returns a zero core of the shape of K, in the memory of w.
func (f Frame[T]) Core(w *dense.Workspace[T]) dense.Core { return w.Core(f.K.Rows, f.K.Cols) }

// Move writes to x the point U·C·Vᵀ truncated to the rank of x by the singular value decomposition of c: the nearest point of the
// manifold. If carried is not nil, the frame's own tangent vector, transported to that point, is written to it. Singular values stay at
// least Floor. Cost: a small decomposition and 4·(m+n)·r² operations, twice that with transport.
func (f Frame[T]) Move(w *dense.Workspace[T], c dense.Core, x Point[T], carried *Tangent[T]) {
	f.moveWithin(w, c, 0, x, carried)
}

// moveWithin is Move that keeps only the singular values larger than tolerance times the norm of c, at least one of them, and returns
// how many it kept. The directions of x and carried beyond that rank become 0, as do those for which c has no room.
func (f Frame[T]) moveWithin(w *dense.Workspace[T], c dense.Core, tolerance float64, x Point[T], carried *Tangent[T]) (rank int) {
	defer w.Release(w.Mark())
	q := min(c.Rows, c.Cols)
	u, s, v := w.Core(c.Rows, q), w.Values(q), w.Core(c.Cols, q)
	dense.SVD(w, c, u, s, v)
	for floor := tolerance * dense.Norm(c); rank < min(q, x.Rank()) && (rank == 0 || tolerance == 0 || s[rank] > floor); rank++ {
		x.S[rank] = max(s[rank], Floor)
	}
	whole := x.Rank()
	clear(x.S[rank:])
	dense.Zero(x.U.Columns(rank, whole))
	dense.Zero(x.V.Columns(rank, whole))
	u, v = u.Columns(0, rank), v.Columns(0, rank)
	dense.MulCore(w, f.U, u, x.U.Columns(0, rank))
	dense.MulCore(w, f.V, v, x.V.Columns(0, rank))
	if carried == nil {
		return rank
	}
	dense.Zero(carried.A.Columns(rank, whole))
	dense.Zero(carried.B.Columns(rank, whole))
	kv, inside, ktu := w.Core(c.Rows, rank), w.Core(rank, rank), w.Core(c.Cols, rank)
	dense.Mul(1, f.K, v, 0, kv)
	dense.Mul(1, u.T(), kv, 0, inside)
	dense.Mul(-1, u, inside, 1, kv)
	dense.Mul(1, f.K.T(), u, 0, ktu)
	dense.MulCore(w, f.U, kv, carried.A.Columns(0, rank))
	dense.MulCore(w, f.V, ktu, carried.B.Columns(0, rank))
	return rank
}

// Vector writes the tangent vector at x whose core is o to xi: only the blocks within the first r rows or columns count, which is the
// projection onto the tangent space. x must be the frame's point.
func (f Frame[T]) Vector(w *dense.Workspace[T], o dense.Core, xi Tangent[T]) {
	defer w.Release(w.Mark())
	r := f.Rank()
	ku := o.Rows - r
	dense.MulCore(w, f.U.Columns(r, r+ku), o.Block(r, 0, ku, r), xi.A)
	top := w.Core(o.Cols, r)
	dense.Copy(top, o.Block(0, 0, r, o.Cols).T())
	dense.MulCore(w, f.V, top, xi.B)
}
