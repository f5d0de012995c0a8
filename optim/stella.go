package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("stella", func() Rule {
		return &StelLA{AdamW: newAdamW(), StartSigma: 1e-6}
	})
}

// StelLA moves X = s·U·S·Vᵀ with orthonormal U and V and a full r×r core S (Li et al. 2025, arXiv 2510.01938). The adapter's factors hold
// it as B = U·S and A = Vᵀ, and the gradients of the three follow from theirs exactly: ∂U = ∂B·Sᵀ, ∂S = Uᵀ·∂B, ∂V = ∂Aᵀ. S moves by
// AdamW. For U, m×r, and likewise for V, with learning rate η and width c:
//
//	g = ∂U - U·∂Uᵀ·U
//	Δ = √(c/m) times the step that Adam makes of g
//	Δ ← Δ - U·sym(UᵀΔ),   U ← polar factor of U + Δ
//
// The published method starts from random U and V and S = I and so changes the model; here X starts as the adapter's init left it, in its
// singular value decomposition, and a zero X with S = StartSigma·I/s.
//
// State: 3·out·r + 2·in·r + 3·r² values, for U, S and the averages of the three; Adam has 2·out·r + 2·in·r. Cost: Adam's and about
// 14·(out+in)·r² operations. Invariances: the choice of the factors before the start, as long as the singular values of X differ (from a
// zero X, the directions depend on A); the scale of the loss, up to ε.
type StelLA struct {
	// AdamW makes the steps of all three; its decay applies to S alone, and to other points.
	AdamW
	// Width is c, the model's hidden size; 0 (the default) stands for the smaller side of each matrix.
	Width int `yaml:"width"`
	// StartSigma is the singular value that directions get in which X is 0 at the start; default 1e-6.
	StartSigma float64 `yaml:"start_sigma"`
}

// Defaults returns learning rate 5e-4, that of the published runs, and no decay.
func (*StelLA) Defaults() Hyper { return Hyper{LR: 5e-4} }

// Validate checks the settings.
func (r *StelLA) Validate() error {
	switch err := r.AdamW.Validate(); {
	case err != nil:
		return fmt.Errorf("stella: %w", err)
	case r.Width < 0:
		return fmt.Errorf("stella: width %d; it must not be negative", r.Width)
	case !(r.StartSigma >= manifold.Floor) || math.IsInf(r.StartSigma, 1):
		return fmt.Errorf("stella: start_sigma %v; it must be finite and at least %g", r.StartSigma, manifold.Floor)
	}
	return nil
}

// Split keeps LowRank points whole.
func (*StelLA) Split(p Point) []Point { return wholeLowRank(p) }

// The entries of a LowRank point's state: U and S, which B is made of, and the averages of gradients and squared gradients of U, S and V.
const (
	basisU                = "u"
	coreS                 = "s"
	averageU, squareU     = "exp_avg_u", "exp_avg_sq_u"
	averageS, squareS     = "exp_avg_s", "exp_avg_sq_s"
	averageOfV, squareOfV = "exp_avg_v", "exp_avg_sq_v"
)

// Init brings a LowRank point into the form U·S·Vᵀ.
func (r *StelLA) Init(p Point) (*State, error) {
	x, ok := p.(*LowRank)
	if !ok {
		return r.AdamW.Init(p)
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	c := x.pair()
	if err := c.canonical(w, r.StartSigma); err != nil {
		return nil, err
	}
	out, in, rank := x.size()
	s := &State{Buffers: map[string][]float32{}, Counters: map[string]int64{"step": 0}}
	for name, n := range map[string]int{
		basisU: out * rank, averageU: out * rank, squareU: out * rank, coreS: rank * rank, averageS: rank * rank, squareS: rank * rank,
		averageOfV: in * rank, squareOfV: in * rank,
	} {
		s.Buffers[name] = make([]float32, n)
	}
	svd := c.load(w)
	dense.Copy(dense.Of(s.Buffers[basisU], out, rank), svd.U)
	for j, value := range svd.S {
		s.Buffers[coreS][j*rank+j] = float32(value / c.scale)
	}
	return s, nil
}

// Step moves p by one step.
func (r *StelLA) Step(p Point, s *State, h Hyper) error {
	rest := r.rest(1)
	return movePair(r, &rest, p, s, h, stepStelLA)
}

func stepStelLA(r *StelLA, c pairStep[float32]) error {
	u, s, v := c.buffer(basisU, c.out, c.r), c.buffer(coreS, c.r, c.r), c.tallA()
	gu, gs, gb := c.w.Mat(c.out, c.r), c.w.Mat(c.r, c.r), c.gradB()
	dense.Mul(1, gb, s.T(), 0, gu)
	dense.Mul(1, u.T(), gb, 0, gs)
	decayed := r.kernel(c.h, c.steps())
	plain := decayed
	plain.Keep = 1
	width := r.Width
	if width == 0 {
		width = min(c.out, c.in)
	}
	for _, side := range []struct {
		y, g            dense.Mat[float32]
		average, square string
	}{{u, gu, averageU, squareU}, {v, c.gradA(), averageOfV, squareOfV}} {
		g, step := side.g, c.w.Mat(side.y.Rows, c.r) // from 0: y + step - y would keep few digits of a small step
		removeRotated(c.w, side.y, g)
		dense.Zero(step)
		plain.Step(step.Data, g.Data, c.buffers[side.average], c.buffers[side.square])
		alongStiefel(c.w, side.y, step, math.Sqrt(float64(width)/float64(side.y.Rows)))
	}
	decayed.Step(s.Data, gs.Data, c.buffers[averageS], c.buffers[squareS])
	dense.Mul(1, u, s, 0, dense.Of(c.b, c.out, c.r))
	dense.Copy(dense.Of(c.a, c.r, c.in), v.T())
	return nil
}

// removeRotated replaces g by g - y·gᵀ·y, the Riemannian gradient in the canonical metric of the orthonormal y.
func removeRotated[T dense.Float](w *dense.Workspace[T], y, g dense.Mat[T]) {
	defer w.Release(w.Mark())
	c := w.Mat(y.Cols, y.Cols)
	dense.Mul(1, g.T(), y, 0, c)
	dense.Mul(-1, y, c, 1, g)
}

// projectStiefel replaces d by d - y·sym(yᵀd), its part along the orthonormal matrices at y.
func projectStiefel[T dense.Float](w *dense.Workspace[T], y, d dense.Mat[T]) {
	defer w.Release(w.Mark())
	c, sym := w.Mat(y.Cols, y.Cols), w.Mat(y.Cols, y.Cols)
	dense.Mul(1, y.T(), d, 0, c)
	for i := range c.Rows {
		for j := range c.Cols {
			sym.Set(i, j, (c.At(i, j)+c.At(j, i))/2)
		}
	}
	dense.Mul(-1, y, sym, 1, d)
}

// alongStiefel replaces the orthonormal y by the polar factor of y + length·d, where only the part of d along the orthonormal matrices
// counts. d is used up.
func alongStiefel[T dense.Float](w *dense.Workspace[T], y, d dense.Mat[T], length float64) {
	defer w.Release(w.Mark())
	projectStiefel(w, y, d)
	mixInto(T(length), d.Data, 1, y.Data)
	root := w.Core(y.Cols, y.Cols)
	gramPower(w, d, 0, gramTol, -0.5, root)
	dense.MulCore(w, d, root, y)
}
