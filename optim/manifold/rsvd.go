package manifold

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
)

// Products multiplies a set of matrices that nobody holds by thin matrices: the gradients of the layers of a model, each of which costs
// two products of the backward pass. A call serves all matrices at once, so that it can be one pass through the model.
type Products[T dense.Float] interface {
	// Mul writes G·x to y for every matrix G m×n of the set, for x n×k and y m×k; MulT writes Gᵀ·y to x.
	Mul(x, y []dense.Mat[T]) error
	MulT(y, x []dense.Mat[T]) error
}

// Wanted says how many of the leading singular triplets of an m×n matrix are wanted.
type Wanted struct{ Rows, Cols, Rank int }

// RSVD is the randomised singular value decomposition by products alone (Halko, Martinsson and Tropp 2011; BackPropRSVD of arXiv
// 2507.12142, Algorithm 3, corrected).
type RSVD struct {
	// Oversample is how many directions beyond the wanted ones are followed; 16 is usual.
	Oversample int
	// Power is the number q of power iterations. On a spectrum 1/i, with 16 of 32 directions wanted, 0 captures about 0.99 of the energy
	// that a truncated decomposition does and 1 all but 1e-4 of it.
	Power int
}

// normProbes is the number of random directions by which the energy outside the directions found is estimated.
const normProbes = 8

// Passes returns how often a decomposition calls the products: 2·(q+1).
func (o RSVD) Passes() int { return 2 * (o.Power + 1) }

// Width returns the columns of the thin matrices for a wanted decomposition.
func (o RSVD) Width(w Wanted) int { return o.directions(w) + normProbes }

func (o RSVD) directions(w Wanted) int { return min(w.Rank+o.Oversample, w.Rows, w.Cols) }

// SVD holds the leading singular triplets of a matrix, as many as were followed: U m×k and V n×k with orthonormal columns, S descending.
type SVD[T dense.Float] struct {
	U, V dense.Mat[T]
	S    []float64
	// Rest estimates the squared Frobenius norm of the matrix outside the k triplets; the estimate is unbiased, with a relative deviation
	// of √(2/8d) where the rest is spread over d directions.
	Rest float64
}

// SquaredNorm estimates the squared Frobenius norm of the whole matrix.
func (d SVD[T]) SquaredNorm() float64 { return d.Energy(len(d.S)) + d.Rest }

// Energy returns the sum of the squares of the first k singular values.
func (d SVD[T]) Energy(k int) float64 {
	var sum float64
	for _, s := range d.S[:k] {
		sum += float64(s * s)
	}
	return sum
}

// Gap returns the ratio of singular value k to the one after it, counted from 1; +Inf where that is 0 or unknown. Near 1, which
// directions are the leading k is arbitrary.
func (d SVD[T]) Gap(k int) float64 {
	if k >= len(d.S) || d.S[k] == 0 {
		return math.Inf(1)
	}
	return d.S[k-1] / d.S[k]
}

// Rank returns how many of the singular values are more than rounding errors of the largest one.
func (d SVD[T]) Rank() int {
	rank := 0
	for rank < len(d.S) && d.S[rank] > dense.RankTol[T]()*d.S[0] {
		rank++
	}
	return rank
}

// Broken is the error for a matrix of a set that cannot be decomposed: it is 0, or not finite.
type Broken struct {
	Index int // in the set
	Zero  bool
}

func (e *Broken) Error() string {
	if e.Zero {
		return fmt.Sprintf("matrix %d is zero", e.Index)
	}
	return fmt.Sprintf("matrix %d holds NaN or infinities", e.Index)
}

// Decompose finds the leading singular triplets of all matrices of a set in Passes calls of its products. draw gives standard normal
// numbers for matrix i. Beyond the products the cost is about 12·(m+n)·k² operations a matrix and power iteration, for k = Rank +
// Oversample.
func (o RSVD) Decompose(g Products[float32], set []Wanted, draw func(i int) float64) ([]SVD[float32], error) {
	s := newSketch(o, set)
	for i, x := range s.right {
		fill(x.Columns(0, s.k[i]), func() float64 { return draw(i) })
	}
	if err := g.Mul(s.right, s.left); err != nil {
		return nil, err
	}
	for range o.Power {
		if err := s.orthonormalise(s.left); err != nil {
			return nil, err
		}
		if err := g.MulT(s.left, s.right); err != nil {
			return nil, err
		}
		if err := s.orthonormalise(s.right); err != nil {
			return nil, err
		}
		if err := g.Mul(s.right, s.left); err != nil {
			return nil, err
		}
	}
	if err := s.orthonormalise(s.left); err != nil {
		return nil, err
	}
	s.probe(draw)
	if err := g.MulT(s.left, s.right); err != nil {
		return nil, err
	}
	return s.finish()
}

// sketch is a decomposition under way: thin matrices for both sides of every matrix. The last normProbes columns are 0 until probe.
type sketch struct {
	w           *dense.Workspace[float32]
	k           []int // directions that are followed
	left, right []dense.Mat[float32]
}

func newSketch(o RSVD, set []Wanted) *sketch {
	s := &sketch{w: new(dense.Workspace[float32])}
	for _, m := range set {
		s.k = append(s.k, o.directions(m))
		s.left = append(s.left, dense.New[float32](m.Rows, o.Width(m)))
		s.right = append(s.right, dense.New[float32](m.Cols, o.Width(m)))
	}
	return s
}

// orthonormalise replaces the directions of every matrix by an orthonormal basis of their span, filled up with arbitrary directions where
// the span is smaller.
func (s *sketch) orthonormalise(side []dense.Mat[float32]) error {
	for i, m := range side {
		y := m.Columns(0, s.k[i])
		norm := dense.Norm(y)
		switch {
		case norm == 0:
			return &Broken{Index: i, Zero: true}
		case math.IsNaN(norm) || math.IsInf(norm, 0):
			return &Broken{Index: i}
		}
		s.qr(y, norm)
	}
	return nil
}

// qr replaces y, of the given norm, by its orthonormal factor and returns the other one, which is valid until the next call.
func (s *sketch) qr(y dense.Mat[float32], norm float64) dense.Core {
	s.w.Release(dense.Mark{})
	r := s.w.Core(y.Cols, y.Cols)
	dense.QR(s.w, y, r, dense.RankTol[float32]()*norm)
	return r
}

// probe makes the last columns on the left random directions outside the span of the orthonormal ones.
func (s *sketch) probe(draw func(i int) float64) {
	for i, m := range s.left {
		p := m.Columns(s.k[i], m.Cols)
		fill(p, func() float64 { return draw(i) })
		dense.RemoveSpan(s.w, m.Columns(0, s.k[i]), p)
	}
}

// finish decomposes what the last pass has found: left·rightᵀ on the followed directions is the nearest matrix within their span, and the
// squared lengths of the probes' products have the energy outside of it for their mean.
func (s *sketch) finish() ([]SVD[float32], error) {
	out := make([]SVD[float32], len(s.left))
	for i, m := range s.right {
		k := s.k[i]
		y := m.Columns(0, k)
		norm := dense.Norm(y)
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			return nil, &Broken{Index: i}
		}
		r := s.qr(y, norm)
		a, b := s.w.Core(k, k), s.w.Core(k, k)
		d := SVD[float32]{
			U: dense.New[float32](s.left[i].Rows, k), V: dense.New[float32](m.Rows, k), S: make([]float64, k),
			Rest: dense.SquaredNorm(m.Columns(k, m.Cols)) / normProbes,
		}
		dense.SVD(s.w, r, a, d.S, b)
		dense.MulCore(s.w, s.left[i].Columns(0, k), b, d.U)
		dense.MulCore(s.w, y, a, d.V)
		out[i] = d
	}
	return out, nil
}

func fill(m dense.Mat[float32], draw func() float64) {
	for i := range m.Rows {
		for j := range m.Cols {
			m.Set(i, j, float32(draw()))
		}
	}
}
