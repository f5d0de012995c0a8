package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

func init() {
	Register("sgd", func() Rule { return &SGD{Momentum: 0.9} })
}

// SGD is gradient descent with momentum, with the definitions and arithmetic of torch.optim.SGD: for gradient g, learning rate η,
// decay λ, momentum μ, dampening τ,
//
//	g ← g + λ·x
//	b ← μ·b + (1-τ)·g      (b = g in the first step)
//	g ← b, or g + μ·b with Nesterov
//	x ← x - η·g
//
// so that decay is an L2 penalty, inside the momentum.
//
// State: one float32 value an element, none without momentum. Cost: one pass. Invariances: on the factors of a LowRank point, their
// rotation (B·Q, Qᵀ·A), momentum and decay included, but no other change of basis.
type SGD struct {
	// Momentum is μ; default 0.9 (torch's is 0).
	Momentum float64 `yaml:"momentum"`
	// Dampening is τ; default 0.
	Dampening float64 `yaml:"dampening"`
	// Nesterov looks ahead along the momentum; it needs momentum and no dampening. Default off.
	Nesterov bool `yaml:"nesterov"`
}

// Defaults returns learning rate 0.1, that of the SGD rows of Table 2 in arXiv 2507.12142, and no decay.
func (*SGD) Defaults() Hyper { return Hyper{LR: 0.1} }

// Validate checks 0 ≤ μ < 1, 0 ≤ τ ≤ 1 and what Nesterov needs.
func (r *SGD) Validate() error {
	if !(0 <= r.Momentum && r.Momentum < 1) {
		return fmt.Errorf("sgd: momentum %v; it must be at least 0 and less than 1", r.Momentum)
	}
	if !(0 <= r.Dampening && r.Dampening <= 1) {
		return fmt.Errorf("sgd: dampening %v; it must be between 0 and 1", r.Dampening)
	}
	if r.Nesterov && (r.Momentum == 0 || r.Dampening != 0) {
		return fmt.Errorf("sgd: nesterov with momentum %v and dampening %v; it needs momentum and no dampening", r.Momentum, r.Dampening)
	}
	return nil
}

// Split takes p apart into its tensors.
func (*SGD) Split(p Point) []Point { return PerTensor(p) }

// Init returns a zero momentum buffer, or no buffer without momentum.
func (r *SGD) Init(p Point) (*State, error) {
	s := &State{Counters: map[string]int64{"step": 0}}
	if r.Momentum != 0 {
		s.Buffers = map[string][]float32{"momentum_buffer": make([]float32, p.Tensors()[0].Value.Len())}
	}
	return s, nil
}

// Step moves the tensor p by one step.
func (r *SGD) Step(p Point, s *State, h Hyper) error {
	s.Counters["step"]++
	c := sgdStep{
		lr: float32(h.LR), decay: float32(h.WeightDecay),
		momentum: float32(r.Momentum), mix: float32(1 - r.Dampening), nesterov: r.Nesterov,
	}
	if s.Counters["step"] == 1 {
		c.mix = 1
	}
	tensor := p.Tensors()[0]
	sgdLoop.Run(tensor.Value.Len(), chunkSize, sgdArgs{c, tensor.Value.F32, tensor.Grad.F32, s.Buffers["momentum_buffer"]})
	return nil
}

// sgdArgs are the operands of sgdLoop; b is nil without momentum.
type sgdArgs struct {
	sgdStep
	x, g, b []float32
}

// sgdLoop runs over elements.
var sgdLoop = cpu.NewLoop(func(a *sgdArgs, lo, hi int) {
	if a.b == nil {
		a.plain(a.x[lo:hi], a.g[lo:hi])
		return
	}
	a.heavyBall(a.x[lo:hi], a.g[lo:hi], a.b[lo:hi])
})

// sgdStep holds the scalars of one step. The conversions keep compilers from fusing multiplication and addition, so that every platform
// gives the same bits.
type sgdStep struct {
	lr, decay, momentum, mix float32
	nesterov                 bool
}

func (c sgdStep) plain(x, g []float32) {
	for i := range x {
		d := g[i] + float32(c.decay*x[i])
		x[i] -= float32(c.lr * d)
	}
}

func (c sgdStep) heavyBall(x, g, b []float32) {
	for i := range x {
		d := g[i] + float32(c.decay*x[i])
		b[i] = float32(c.momentum*b[i]) + float32(c.mix*d)
		if c.nesterov {
			d += float32(c.momentum * b[i])
		} else {
			d = b[i]
		}
		x[i] -= float32(c.lr * d)
	}
}
