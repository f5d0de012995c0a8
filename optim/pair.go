package optim

import "github.com/geotune/geotune/graph/kernel/dense"

// pair is a LowRank point as the steps of rules see it: the factors and their gradients, in the element type of training or, in tests
// of laws that hold to 1e-12, in float64. The matrix is X = scale·B·A.
type pair[T dense.Float] struct {
	name       string
	scale      float64
	out, in, r int
	a, b       []T // A r×in and B out×r
	ga, gb     []T // their gradients
}

// memory is the State of a point in the element type T.
type memory[T dense.Float] struct {
	buffers  map[string][]T
	scalars  map[string]float64
	counters map[string]int64
}

// pairStep is one step of a pair while it is made. It is passed by value, so that it stays off the heap.
type pairStep[T dense.Float] struct {
	w *dense.Workspace[T]
	pair[T]
	memory[T]
	h Hyper
}

// tallA and tallB return copies of the transpose of A and of B, gradA and gradB of their gradients, all with contiguous rows.
func (p pairStep[T]) tallA() dense.Mat[T] { return contiguous(p.w, dense.Of(p.a, p.r, p.in).T()) }
func (p pairStep[T]) tallB() dense.Mat[T] { return contiguous(p.w, dense.Of(p.b, p.out, p.r)) }
func (p pairStep[T]) gradA() dense.Mat[T] { return contiguous(p.w, dense.Of(p.ga, p.r, p.in).T()) }
func (p pairStep[T]) gradB() dense.Mat[T] { return contiguous(p.w, dense.Of(p.gb, p.out, p.r)) }

// buffer returns an array of the state as a matrix.
func (p pairStep[T]) buffer(name string, rows, cols int) dense.Mat[T] {
	return dense.Of(p.buffers[name], rows, cols)
}

// steps returns how many steps the point has made, this one included.
func (p pairStep[T]) steps() int64 { return p.counters["step"] }

// rate and keep are the learning rate and what decoupled decay leaves of the point.
func (p pairStep[T]) rate() float64 { return p.h.LR }
func (p pairStep[T]) keep() float64 { return 1 - float64(p.h.LR*p.h.WeightDecay) }

// size returns the extents of X and its rank.
func (p *LowRank) size() (out, in, r int) {
	return p.B().Value.Shape[0], p.A().Value.Shape[1], p.A().Value.Shape[0]
}

// pair returns the point without its gradients.
func (p *LowRank) pair() pair[float32] {
	out, in, r := p.size()
	return pair[float32]{name: p.name, scale: float64(p.Scale), out: out, in: in, r: r, a: p.A().Value.F32, b: p.B().Value.F32}
}

// withGradients returns the point and reports whether both factors have gradients.
func (p *LowRank) withGradients() (c pair[float32], ok bool) {
	c = p.pair()
	if p.A().Grad == nil || p.B().Grad == nil {
		return c, false
	}
	c.ga, c.gb = p.A().Grad.F32, p.B().Grad.F32
	return c, true
}

// workspaces serve all rules that move LowRank points whole.
var workspaces dense.Pool[float32]

// movePair makes one step of p by the rule: step moves LowRank points, AdamW the rest.
func movePair[R any](rule R, rest *Rest, p Point, s *State, h Hyper, step func(R, pairStep[float32]) error) error {
	x, ok := p.(*LowRank)
	if !ok {
		return rest.move(p, s, h)
	}
	c, ok := x.withGradients()
	if !ok {
		return errHalfFrozen
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	s.Counters["step"]++
	return step(rule, pairStep[float32]{w: w, pair: c, memory: memory[float32]{s.Buffers, s.Scalars, s.Counters}, h: h})
}
