package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

func init() {
	Register("adamw", func() Rule { a := newAdamW(); return &a })
}

// AdamW is Adam with decoupled weight decay (Loshchilov and Hutter 2019), with the arithmetic of torch.optim.AdamW: for gradient g,
// learning rate η, decay λ,
//
//	x ← (1-ηλ)·x
//	m ← β₁·m + (1-β₁)·g
//	v ← β₂·v + (1-β₂)·g²
//	x ← x - η/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε)
//
// elementwise in float32, the scalars in float64.
//
// State: two float32 values an element. Cost: one pass over values, gradient and state. Invariances: scaling the loss, up to ε. On
// the factors of a LowRank point it depends on the choice of the factors, even up to rotation.
type AdamW struct {
	// Betas are the decay rates β₁, β₂ of the averages of gradient and squared gradient; default 0.9 and 0.999.
	Betas [2]float64 `yaml:"betas"`
	// Eps bounds the denominator from below; default 1e-8.
	Eps float64 `yaml:"eps"`
}

// newAdamW returns PyTorch's settings.
func newAdamW() AdamW { return AdamW{Betas: [2]float64{0.9, 0.999}, Eps: 1e-8} }

// Defaults returns learning rate 2e-4, the usual one for LoRA factors, and PyTorch's decay 0.01.
func (*AdamW) Defaults() Hyper { return Hyper{LR: 2e-4, WeightDecay: 0.01} }

// Validate checks 0 ≤ β < 1 and ε ≥ 0.
func (r *AdamW) Validate() error {
	for _, b := range r.Betas {
		if !(0 <= b && b < 1) {
			return fmt.Errorf("adamw: betas %v; each must be at least 0 and less than 1", r.Betas)
		}
	}
	if !(r.Eps >= 0) || math.IsInf(r.Eps, 1) {
		return fmt.Errorf("adamw: eps %v; it must be finite and not negative", r.Eps)
	}
	return nil
}

// Split takes p apart into its tensors.
func (*AdamW) Split(p Point) []Point { return PerTensor(p) }

// Init returns zero averages.
func (*AdamW) Init(p Point) (*State, error) {
	n := p.Tensors()[0].Value.Len()
	return &State{
		Buffers:  map[string][]float32{"exp_avg": make([]float32, n), "exp_avg_sq": make([]float32, n)},
		Counters: map[string]int64{"step": 0},
	}, nil
}

// Step moves the tensor p by one step.
func (r *AdamW) Step(p Point, s *State, h Hyper) error {
	s.Counters["step"]++
	tensor := p.Tensors()[0]
	adamWLoop.Run(tensor.Value.Len(), chunkSize, adamWArgs{
		AdamW: r.kernel(h, s.Counters["step"]),
		x:     tensor.Value.F32, g: tensor.Grad.F32, m: s.Buffers["exp_avg"], v: s.Buffers["exp_avg_sq"],
	})
	return nil
}

// kernel returns the scalars of step t of a tensor, counted from 1.
func (r *AdamW) kernel(h Hyper, t int64) cpu.AdamW {
	correction1 := 1 - math.Pow(r.Betas[0], float64(t))
	correction2 := 1 - math.Pow(r.Betas[1], float64(t))
	return cpu.AdamW{
		Keep:  float32(1 - float64(h.LR*h.WeightDecay)),
		Beta1: float32(r.Betas[0]), Mix1: float32(1 - r.Betas[0]),
		Beta2: float32(r.Betas[1]), Mix2: float32(1 - r.Betas[1]),
		RootCorrection2: float32(math.Sqrt(correction2)), Eps: float32(r.Eps),
		Rate: float32(h.LR / correction1),
	}
}

// adamWArgs are the operands of adamWLoop.
type adamWArgs struct {
	cpu.AdamW
	x, g, m, v []float32
}

// adamWLoop runs over elements.
var adamWLoop = cpu.NewLoop(func(a *adamWArgs, lo, hi int) { a.Step(a.x[lo:hi], a.g[lo:hi], a.m[lo:hi], a.v[lo:hi]) })
