package optim

import (
	"fmt"
	"math"

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

// factor is one of the two factors of a LowRank point as a tall matrix: B itself or the transpose of A.
type factor struct {
	values, momentum []float32
	tall             dense.Mat[float32] // the values before the step
	g, m             dense.Mat[float32] // gradient and momentum, tall as well
	transposed       bool
}

// factorStep is one step of the factors of a LowRank point while it is made.
type factorStep struct {
	w    *dense.Workspace[float32]
	a, b factor
	r    int
}

// begin counts the step and reads the factors. The caller puts the workspace back.
func (f *FactorRule) begin(w *dense.Workspace[float32], p *LowRank, s *State) (factorStep, error) {
	if p.A().Grad == nil || p.B().Grad == nil {
		return factorStep{}, errHalfFrozen
	}
	_, _, r := p.size()
	s.Counters["step"]++
	return factorStep{
		w: w, r: r,
		a: newFactor(w, p.A(), s.Buffers[momentumA], r, true), b: newFactor(w, p.B(), s.Buffers[momentumB], r, false),
	}, nil
}

func newFactor(w *dense.Workspace[float32], t Tensor, momentum []float32, r int, transposed bool) factor {
	f := factor{values: t.Value.F32, momentum: momentum, transposed: transposed}
	n := len(f.values) / r
	f.tall, f.g, f.m = w.Mat(n, r), w.Mat(n, r), w.Mat(n, r)
	dense.Copy(f.tall, f.view(f.values, r))
	dense.Copy(f.g, f.view(t.Grad.F32, r))
	dense.Copy(f.m, f.view(f.momentum, r))
	return f
}

// view returns values in the factor's shape as a tall matrix.
func (f *factor) view(values []float32, r int) dense.Mat[float32] {
	n := len(values) / r
	if f.transposed {
		return dense.Of(values, r, n).T()
	}
	return dense.Of(values, n, r)
}

// average replaces the momentum by decay·momentum + weight·d.
func (f *factor) average(decay, weight float64, d dense.Mat[float32]) {
	mixInto(float32(decay), f.m.Data, float32(weight), d.Data)
	dense.Copy(f.view(f.momentum, f.m.Cols), f.m)
}

// move replaces the values by keep·values - rate·d.
func (f *factor) move(keep, rate float64, d dense.Mat[float32]) {
	mixInto(float32(keep), f.tall.Data, float32(-rate), d.Data)
	dense.Copy(f.view(f.values, d.Cols), f.tall)
}

// gramPower writes (yᵀy + damping·I)^power of a tall y to c, by the eigenvalues of the Gram matrix; those of at most tol of the largest
// count as absent. power is negative.
func gramPower(w *dense.Workspace[float32], y dense.Mat[float32], damping, tol, power float64, c dense.Core) {
	defer w.Release(w.Mark())
	r := y.Cols
	g, u, s, v := w.Core(r, r), w.Core(r, r), w.Values(r), w.Core(r, r)
	dense.Gram(w, y, g)
	for i := range r {
		g.Set(i, i, g.At(i, i)+damping)
	}
	dense.SVD(w, g, u, s, v)
	for j, value := range s {
		if value > tol*s[0] {
			s[j] = math.Pow(value, power)
		} else {
			s[j] = 0
		}
	}
	dense.ScaleColumns(u, u, s)
	dense.Mul(1, u, v.T(), 0, c)
}

// gramTol is the relative eigenvalue below which a direction of a float32 Gram matrix is rounding error.
const gramTol = 1e-12

// sign replaces a tall y by its matrix sign, with singular values of at most tol of the largest masked.
func sign(w *dense.Workspace[float32], y dense.Mat[float32], tol float64) {
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
	for j, value := range s {
		if s[j] = 1; value <= tol*s[0] {
			s[j] = 0
		}
	}
	dense.ScaleColumns(u, u, s)
	dense.Mul(1, u, v.T(), 0, c)
	q := w.Mat(y.Rows, r)
	dense.Copy(q, y)
	dense.MulCore(w, q, c, y)
}
