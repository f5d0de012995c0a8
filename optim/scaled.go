package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/graph/kernel/dense"
)

func init() {
	Register("scaled-sgd", func() Rule { return &ScaledSGD{FactorRule: newFactorRule(0.9, 1), Damping: 1e-6} })
	Register("scaled-adamw", func() Rule {
		return &ScaledAdamW{AdamW: AdamW{Betas: [2]float64{0.9, 0.999}, Eps: 1e-8}, Damping: 1e-6}
	})
}

// precondition writes ∂·(otherᵀ·other + damping·I)⁻¹ for the gradient ∂ of a factor, tall, to d, which may be the gradient.
func precondition(w *dense.Workspace[float32], gradient, other dense.Mat[float32], damping float64, d dense.Mat[float32]) {
	defer w.Release(w.Mark())
	c, g := w.Core(other.Cols, other.Cols), w.Mat(gradient.Rows, gradient.Cols)
	gramPower(w, other, damping, gramTol, -1, c)
	dense.Copy(g, gradient)
	dense.MulCore(w, g, c, d)
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
//	M_B ← μ·M_B + ∂B·(AAᵀ+δ)⁻¹    B ← (1-ηλ)·B - η·M_B
//	M_A ← μ·M_A + (BᵀB+δ)⁻¹·∂A    A ← (1-ηλ)·A - η·M_A
//
// both from the factors before the step.
//
// State: one value an element, half of Adam's. Cost: about 4·(out+in)·r² operations. Invariances: any change of basis of the factors,
// momentum and decay included, up to damping; with it, their rotation.
type ScaledSGD struct {
	FactorRule
	// Damping is δ, added to the diagonal of the Gram matrices; default 1e-6.
	Damping float64 `yaml:"damping"`
}

// Defaults returns learning rate 1e-2 and no decay.
func (*ScaledSGD) Defaults() Hyper { return Hyper{LR: 1e-2} }

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

// Step moves p by one step.
func (r *ScaledSGD) Step(p Point, s *State, h Hyper) error {
	x, ok := p.(*LowRank)
	if !ok {
		return r.Rest.move(p, s, h)
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	f, err := r.begin(w, x, s)
	if err != nil {
		return err
	}
	precondition(w, f.a.g, f.b.tall, r.Damping, f.a.g)
	precondition(w, f.b.g, f.a.tall, r.Damping, f.b.g)
	for _, side := range []*factor{&f.a, &f.b} {
		side.average(r.Momentum, 1, side.g)
		side.move(1-h.LR*h.WeightDecay, h.LR, side.m)
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

// Defaults returns learning rate 2e-4 and decay 0.01, those of AdamW.
func (r *ScaledAdamW) Defaults() Hyper { return r.AdamW.Defaults() }

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
	a, b := x.A().Value.Len(), x.B().Value.Len()
	return &State{
		Buffers: map[string][]float32{
			averageA: make([]float32, a), squareA: make([]float32, a), averageB: make([]float32, b), squareB: make([]float32, b),
		},
		Counters: map[string]int64{"step": 0},
	}, nil
}

// Step moves p by one step.
func (r *ScaledAdamW) Step(p Point, s *State, h Hyper) error {
	x, ok := p.(*LowRank)
	if !ok {
		return r.AdamW.Step(p, s, h)
	}
	if x.A().Grad == nil || x.B().Grad == nil {
		return errHalfFrozen
	}
	s.Counters["step"]++
	t := float64(s.Counters["step"])
	c := cpu.AdamW{
		Keep:  float32(1 - h.LR*h.WeightDecay),
		Beta1: float32(r.Betas[0]), Mix1: float32(1 - r.Betas[0]),
		Beta2: float32(r.Betas[1]), Mix2: float32(1 - r.Betas[1]),
		RootCorrection2: float32(math.Sqrt(1 - math.Pow(r.Betas[1], t))), Eps: float32(r.Eps),
		Rate: float32(h.LR / (1 - math.Pow(r.Betas[0], t))),
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	out, in, rank := x.size()
	a, b := x.A(), x.B()
	ga, gb := w.Mat(rank, in), w.Mat(out, rank)
	precondition(w, dense.Of(a.Grad.F32, rank, in).T(), dense.Of(b.Value.F32, out, rank), r.Damping, ga.T())
	tall := w.Mat(in, rank)
	dense.Copy(tall, dense.Of(a.Value.F32, rank, in).T())
	precondition(w, dense.Of(b.Grad.F32, out, rank), tall, r.Damping, gb)
	c.Step(a.Value.F32, ga.Data, s.Buffers[averageA], s.Buffers[squareA])
	c.Step(b.Value.F32, gb.Data, s.Buffers[averageB], s.Buffers[squareB])
	return nil
}
