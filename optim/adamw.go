package optim

import (
	"fmt"
	"math"
)

func init() {
	Register("adamw", func() Rule { return &AdamW{Betas: [2]float64{0.9, 0.999}, Eps: 1e-8} })
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
	t := float64(s.Counters["step"])
	correction1 := 1 - math.Pow(r.Betas[0], t)
	correction2 := 1 - math.Pow(r.Betas[1], t)
	c := adamwStep{
		keep:  float32(1 - h.LR*h.WeightDecay),
		beta1: float32(r.Betas[0]), mix1: float32(1 - r.Betas[0]),
		beta2: float32(r.Betas[1]), mix2: float32(1 - r.Betas[1]),
		rootCorrection2: float32(math.Sqrt(correction2)), eps: float32(r.Eps),
		lr: float32(h.LR / correction1),
	}
	tensor := p.Tensors()[0]
	x, g := tensor.Value.F32, tensor.Grad.F32
	m, v := s.Buffers["exp_avg"], s.Buffers["exp_avg_sq"]
	forChunks(len(x), func(lo, hi int) { c.apply(x[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]) })
	return nil
}

// adamwStep holds the scalars of one step.
type adamwStep struct{ keep, beta1, mix1, beta2, mix2, rootCorrection2, eps, lr float32 }

// apply performs the step on equally long slices. The conversions keep compilers from fusing multiplication and addition, so that
// every platform gives the same bits.
func (c adamwStep) apply(x, g, m, v []float32) {
	g, m, v = g[:len(x)], m[:len(x)], v[:len(x)]
	for i := range x {
		m[i] = float32(c.beta1*m[i]) + float32(c.mix1*g[i])
		v[i] = float32(c.beta2*v[i]) + float32(c.mix2*g[i]*g[i])
		denom := float32(math.Sqrt(float64(v[i])))/c.rootCorrection2 + c.eps
		if m[i] != 0 { // 0/0 where eps is 0 and no gradient was ever seen
			x[i] = float32(c.keep*x[i]) - float32(c.lr*m[i])/denom
		} else {
			x[i] *= c.keep
		}
	}
}
