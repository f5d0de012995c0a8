package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/dense"
)

// FactorRule is what the rules share that move the factors of a LowRank point together, in whatever gauge they are: momenta of both
// factors in their coordinates, and AdamW for all other points.
type FactorRule struct {
	// Momentum is the decay rate of the momenta.
	Momentum float64 `yaml:"momentum"`
	// Rest sets the AdamW that moves biases, magnitudes and whole modules.
	Rest Rest `yaml:"rest"`
}

func newFactorRule(momentum, lrRatio float64) FactorRule {
	return FactorRule{Momentum: momentum, Rest: newRest(lrRatio)}
}

// Validate checks 0 ≤ momentum < 1 and the settings of the rest; rules with more of them check those too.
func (f *FactorRule) Validate() error {
	if !(0 <= f.Momentum && f.Momentum < 1) {
		return fmt.Errorf("momentum %v; it must be at least 0 and less than 1", f.Momentum)
	}
	return f.Rest.validate()
}

// Split keeps LowRank points whole.
func (*FactorRule) Split(p Point) []Point { return wholeLowRank(p) }

// Init returns zero momenta of the factors, half of Adam's state, or the state of AdamW.
func (f *FactorRule) Init(p Point) (*State, error) {
	x, ok := p.(*LowRank)
	if !ok {
		a := f.Rest.adamW()
		return a.Init(p)
	}
	return &State{
		Buffers:  map[string][]float32{momentumA: make([]float32, x.A().Value.Len()), momentumB: make([]float32, x.B().Value.Len())},
		Counters: map[string]int64{"step": 0},
	}, nil
}

// The momenta of the factors in a LowRank point's state, in their shapes.
const (
	momentumA = "momentum_a"
	momentumB = "momentum_b"
)

// factor is one of the two factors of a pair as a tall matrix: B itself or the transpose of A.
type factor[T dense.Float] struct {
	values, momentum dense.Mat[T] // the factor and its momentum where they are kept
	tall, g, m       dense.Mat[T] // working copies of values, gradient and momentum
}

// factors returns both factors, with working copies that are as tall as B and as the transpose of A.
func (p pairStep[T]) factors() (a, b factor[T]) {
	return newFactor(p.w, dense.Of(p.a, p.r, p.in).T(), dense.Of(p.ga, p.r, p.in).T(), dense.Of(p.buffers[momentumA], p.r, p.in).T()),
		newFactor(p.w, dense.Of(p.b, p.out, p.r), dense.Of(p.gb, p.out, p.r), dense.Of(p.buffers[momentumB], p.out, p.r))
}

func newFactor[T dense.Float](w *dense.Workspace[T], values, gradient, momentum dense.Mat[T]) factor[T] {
	return factor[T]{values: values, momentum: momentum, tall: contiguous(w, values), g: contiguous(w, gradient), m: contiguous(w, momentum)}
}

// contiguous returns a copy of y with contiguous rows.
func contiguous[T dense.Float](w *dense.Workspace[T], y dense.Mat[T]) dense.Mat[T] {
	c := w.Mat(y.Rows, y.Cols)
	dense.Copy(c, y)
	return c
}

// average replaces the momentum by decay·momentum + weight·d.
func (f *factor[T]) average(decay, weight float64, d dense.Mat[T]) {
	mixInto(T(decay), f.m.Data, T(weight), d.Data)
	dense.Copy(f.momentum, f.m)
}

// move replaces the values by keep·values - rate·d.
func (f *factor[T]) move(keep, rate float64, d dense.Mat[T]) {
	mixInto(T(keep), f.tall.Data, T(-rate), d.Data)
	dense.Copy(f.values, f.tall)
}

// mixInto replaces a by alpha·a + beta·b. It keeps products apart from sums, so that every platform gives the same bits.
func mixInto[T dense.Float](alpha T, a []T, beta T, b []T) {
	b = b[:len(a)]
	for i, v := range a {
		a[i] = T(alpha*v) + T(beta*b[i])
	}
}
