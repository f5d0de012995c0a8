package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("riemannion", func() Rule {
		return &Riemannion{FixedRank: newFixedRank(0.04), Momentum: 0.9, Projections: 1}
	})
}

// Riemannion is Muon on the manifold of matrices of fixed rank (arXiv 2507.12142 v2, Algorithm 4, with its print corrected: the momentum
// that is kept is the one before the matrix sign, and decay multiplies X). With the Riemannian gradient ξ = P_T(G), momentum M that
// moves along with the point, learning rate η, decay γ, momentum μ:
//
//	M ← μ·M + ξ
//	D = P_T(msign(M)), or of ξ + μ·M with Nesterov
//	X ← SVD_r((1-ηγ)·X - η·D),   M ← P_T(M) at the new X
//
// The matrix sign is exact. Steps have a spectral length of about η whatever the gradient, so a schedule that decays to 0 is needed to
// converge.
//
// State: (out+in)·r values a point, half of Adam's. Cost: about 40·(out+in)·r² + 10³·r³ operations. Invariances: any change of basis
// of the factors, momentum and decay included; scaling the loss. It commutes with orthogonal maps and with transposition of X. Where B
// starts at 0, where X has no tangent space, the first step depends on A as the start does.
type Riemannion struct {
	FixedRank
	// Momentum is μ; default 0.9.
	Momentum float64 `yaml:"momentum"`
	// Nesterov takes the direction from the gradient plus the momentum; default off. It costs a transport more.
	Nesterov bool `yaml:"nesterov"`
	// Projections is how often sign and projection alternate, τ of LoRA-TSD (arXiv 2609.02734); default 1. Each more costs one small
	// singular value decomposition.
	Projections int `yaml:"projections"`
}

// Defaults returns learning rate 5e-3, at which elements move about as far as AdamW's move at 2e-4 in a matrix of width 768 and rank 16, and
// decay 0.00316. The paper's Table 4 has 1e-4, for thousands of steps on a model of 8 billion parameters.
func (*Riemannion) Defaults() Hyper { return Hyper{LR: 5e-3, WeightDecay: 0.00316} }

// Validate checks 0 ≤ μ < 1 and 1 ≤ projections ≤ 100.
func (r *Riemannion) Validate() error {
	switch err := r.FixedRank.Validate(); {
	case err != nil:
		return fmt.Errorf("riemannion: %w", err)
	case !(0 <= r.Momentum && r.Momentum < 1):
		return fmt.Errorf("riemannion: momentum %v; it must be at least 0 and less than 1", r.Momentum)
	case r.Nesterov && r.Momentum == 0:
		return fmt.Errorf("riemannion: nesterov without momentum; set momentum or leave nesterov out")
	case r.Projections < 1 || r.Projections > 100:
		return fmt.Errorf("riemannion: projections %d; it must be between 1 and 100", r.Projections)
	}
	return nil
}

// StepLength implements StepLengther: lr, times what LRScaling makes of it.
func (r *Riemannion) StepLength(p *LowRank, lr float64) float64 {
	return lr * r.LRScaling.ofSign(p.size())
}

// Step moves p by one step.
func (r *Riemannion) Step(p Point, s *State, h Hyper) error {
	rest := r.rest()
	return movePair(r, &rest, p, s, h, stepRiemannion[float32])
}

func stepRiemannion[T dense.Float](r *Riemannion, c pairStep[T]) error {
	m := c.motion()
	mix(r.Momentum, m.momentum, 1, m.gradient)
	step := manifold.Step{Rate: c.rate() * r.LRScaling.ofSign(c.out, c.in, c.r), Keep: c.keep(), Projections: r.Projections}
	if !r.Nesterov {
		m.finish(nil, step)
		return nil
	}
	mix(1, m.gradient, r.Momentum, m.momentum)
	m.finish(&m.gradient, step)
	return nil
}
