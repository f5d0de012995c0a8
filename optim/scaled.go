package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
)

func init() {
	Register("scaled-sgd", func() Rule { return &ScaledSGD{FactorRule: newFactorRule(0.9, 2e-3), Damping: 1e-6} })
	Register("scaled-adamw", func() Rule {
		return &ScaledAdamW{AdamW: newAdamW(), Damping: 1e-6}
	})
}

func validateDamping(damping float64) error {
	if !(damping >= 0) || math.IsInf(damping, 1) {
		return fmt.Errorf("damping %v; it must be finite and not negative", damping)
	}
	return nil
}

// ScaledSGD is Riemannian preconditioned LoRA (Zhang and Pilanci 2024, arXiv 2402.02347; ScaledGD of Tong et al. 2021) with momentum: for
// factors A, B, learning rate η, decay λ, momentum μ and damping δ,
//
//	M_A ← μ·M_A + (1-μ)·∂A    A ← (1-ηλ)·A - η·(BᵀB+δ)⁻¹·M_A
//	M_B ← μ·M_B + (1-μ)·∂B    B ← (1-ηλ)·B - η·M_B·(AAᵀ+δ)⁻¹
//
// both from the factors before the step. The momentum is that of the gradients as they come, so that the large inverses of small factors
// do not outlive them.
//
// State: one value an element, half of Adam's. Cost: about 4·(out+in)·r² operations. Invariances: any change of basis of the factors,
// momentum, decay and clipping included, up to damping; with it, their rotation.
type ScaledSGD struct {
	FactorRule
	// Damping is δ, added to the diagonal of the Gram matrices; default 1e-6.
	Damping float64 `yaml:"damping"`
}

// Defaults returns learning rate 0.1 and no decay.
func (*ScaledSGD) Defaults() Hyper { return Hyper{LR: 0.1} }

// Validate checks the settings.
func (r *ScaledSGD) Validate() error {
	err := r.FactorRule.Validate()
	if err == nil {
		err = validateDamping(r.Damping)
	}
	if err != nil {
		return fmt.Errorf("scaled-sgd: %w", err)
	}
	return nil
}

// SquaredNorm returns the squared length of the Riemannian gradient.
func (r *ScaledSGD) SquaredNorm(p Point, _ *State) float64 { return riemannianSquaredNorm(p) }

// Step moves p by one step.
func (r *ScaledSGD) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepScaledSGD[float32])
}

func stepScaledSGD[T dense.Float](r *ScaledSGD, c pairStep[T]) error {
	a, b := c.factors()
	for _, f := range []*factor[T]{&a, &b} {
		f.average(r.Momentum, 1-r.Momentum, f.g)
	}
	precondition(c.w, a.m, b.tall, r.Damping, a.g)
	precondition(c.w, b.m, a.tall, r.Damping, b.g)
	for _, f := range []*factor[T]{&a, &b} {
		f.move(c.keep(), c.rate(), f.g)
	}
	return nil
}

// ScaledAdamW is AdamW on the gradients of the factors after the preconditioning of ScaledSGD, the second form of arXiv 2402.02347; as in
// PEFT's version both factors are preconditioned by the other as it was before the step.
//
// State: that of AdamW. Cost: AdamW's and about 4·(out+in)·r² operations. Invariances: none but the scale of the loss, up to eps, for
// the moments are elementwise.
type ScaledAdamW struct {
	AdamW
	// Damping is added to the diagonal of the Gram matrices; default 1e-6.
	Damping float64 `yaml:"damping"`
}

// Defaults returns learning rate 5e-4, that of Table 4 of arXiv 2507.12142, and AdamW's decay 0.01.
func (r *ScaledAdamW) Defaults() Hyper { return Hyper{LR: 5e-4, WeightDecay: 0.01} }

// Validate checks the settings.
func (r *ScaledAdamW) Validate() error {
	err := r.AdamW.Validate()
	if err == nil {
		err = validateDamping(r.Damping)
	}
	if err != nil {
		return fmt.Errorf("scaled-adamw: %w", err)
	}
	return nil
}

// Split keeps LowRank points whole.
func (*ScaledAdamW) Split(p Point) []Point { return wholeLowRank(p) }

// The averages of gradients and squared gradients of the factors in a LowRank point's state.
const (
	averageA, averageB = "exp_avg_a", "exp_avg_b"
	squareA, squareB   = "exp_avg_sq_a", "exp_avg_sq_b"
)

// Init returns zero averages.
func (r *ScaledAdamW) Init(p Point) (*State, error) {
	x, ok := p.(*LowRank)
	if !ok {
		return r.AdamW.Init(p)
	}
	return factorAverages(x), nil
}

// factorAverages returns the state of AdamW on both factors.
func factorAverages(x *LowRank) *State {
	a, b := x.A().Value.Len(), x.B().Value.Len()
	return &State{
		Buffers: map[string][]float32{
			averageA: make([]float32, a), squareA: make([]float32, a), averageB: make([]float32, b), squareB: make([]float32, b),
		},
		Counters: map[string]int64{"step": 0},
	}
}

// Step moves p by one step.
func (r *ScaledAdamW) Step(p Point, s *State, h Hyper) error {
	rest := r.rest(1)
	return movePair(r, &rest, p, s, h, stepScaledAdamW)
}

func stepScaledAdamW(r *ScaledAdamW, c pairStep[float32]) error {
	adam := r.kernel(c.h, c.steps())
	ga, gb := c.w.Mat(c.r, c.in), c.w.Mat(c.out, c.r)
	tall := contiguous(c.w, dense.Of(c.a, c.r, c.in).T())
	precondition(c.w, dense.Of(c.ga, c.r, c.in).T(), dense.Of(c.b, c.out, c.r), r.Damping, ga.T())
	precondition(c.w, dense.Of(c.gb, c.out, c.r), tall, r.Damping, gb)
	adam.Step(c.a, ga.Data, c.buffers[averageA], c.buffers[squareA])
	adam.Step(c.b, gb.Data, c.buffers[averageB], c.buffers[squareB])
	return nil
}
