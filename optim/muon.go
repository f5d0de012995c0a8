package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("muon", func() Rule { return &Muon{FactorRule: newFactorRule(0.95, 1), Nesterov: true} })
	Register("lora-muon", func() Rule { return &LoRAMuon{FactorRule: newFactorRule(0.95, 0.02)} })
}

// Muon (Jordan 2024) moves each factor of a LowRank point by the matrix sign of its momentum, with the scaling of Moonlight (Liu et al.
// 2025, arXiv 2502.16982) that makes steps as large as AdamW's: for each factor W, a×b, learning rate η, decay λ, momentum μ,
//
//	M ← μ·M + ∂W
//	W ← (1-ηλ)·W - 0.2·√max(a,b)·η·msign(M), or of ∂W + μ·M with Nesterov
//
// The sign is exact, where Muon iterates.
//
// State: one value an element, half of Adam's. Cost: about 10·(out+in)·r² operations. Invariances: rotation of the factors, and the
// scale of the loss; no other change of basis.
type Muon struct {
	FactorRule
	// Nesterov takes the sign of the gradient plus the momentum; default on.
	Nesterov bool `yaml:"nesterov"`
}

// Defaults returns learning rate 1e-3 and decay 0.2; Table 4 of arXiv 2507.12142 has 5e-4 and 0.2.
func (*Muon) Defaults() Hyper { return Hyper{LR: 1e-3, WeightDecay: 0.2} }

// Validate checks the settings.
func (r *Muon) Validate() error {
	if err := r.FactorRule.Validate(); err != nil {
		return fmt.Errorf("muon: %w", err)
	}
	return nil
}

// Step moves p by one step.
func (r *Muon) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepMuon[float32])
}

func stepMuon[T dense.Float](r *Muon, c pairStep[T]) error {
	a, b := c.factors()
	for _, f := range []*factor[T]{&a, &b} {
		f.average(r.Momentum, 1, f.g)
		if r.Nesterov {
			mixInto(1, f.g.Data, T(r.Momentum), f.m.Data)
		} else {
			copy(f.g.Data, f.m.Data)
		}
		sign(c.w, f.g, manifold.SignTol[T]())
		longest := float64(max(f.g.Rows, f.g.Cols))
		f.move(c.keep(), adamWRMS*math.Sqrt(longest)*c.rate(), f.g)
	}
	return nil
}

// LoRAMuon is LoRA-Muon (arXiv 2606.12921): the matrix sign of the momenta as the other factor's metric sees them. For learning rate η,
// decay λ, momentum μ:
//
//	M_B ← μ·M_B + (1-μ)·∂B    B ← √(1-ηλ)·B - η/(2√(1-ηλ))·msign(M_B·(AAᵀ)^-½)·(AAᵀ)^-½
//	M_A ← μ·M_A + (1-μ)·∂A    A likewise with BᵀB from the left
//
// so that X moves by η/2 times the signs of the two thin products of the gradient, and decays by 1-ηλ. Powers are those of the
// pseudo-inverse: where B is 0, A rests. The signs are exact.
//
// State: one value an element, half of Adam's. Cost: about 12·(out+in)·r² operations. Invariances: any change of basis of the factors,
// momentum and decay included; the scale of the loss.
type LoRAMuon struct{ FactorRule }

// Defaults returns learning rate 1e-2, twice that of riemannion, because each of its two signs moves X by half, and no decay.
func (*LoRAMuon) Defaults() Hyper { return Hyper{LR: 1e-2} }

// Validate checks the settings.
func (r *LoRAMuon) Validate() error {
	if err := r.FactorRule.Validate(); err != nil {
		return fmt.Errorf("lora-muon: %w", err)
	}
	return nil
}

// SquaredNorm returns the squared length of the Riemannian gradient.
func (r *LoRAMuon) SquaredNorm(p Point, _ *State) float64 { return riemannianSquaredNorm(p) }

// StepLength implements StepLengther: the two halves of a step, each of length lr/2 in B·A.
func (r *LoRAMuon) StepLength(p *LowRank, lr float64) float64 { return lr * math.Abs(float64(p.Scale)) }

// Step moves p by one step.
func (r *LoRAMuon) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepLoRAMuon[float32])
}

func stepLoRAMuon[T dense.Float](r *LoRAMuon, c pairStep[T]) error {
	root := math.Sqrt(max(0, c.keep()))
	if root == 0 {
		return fmt.Errorf("learning rate %v with decay %v; their product must be less than 1", c.h.LR, c.h.WeightDecay)
	}
	a, b := c.factors()
	rootA, rootB := c.w.Core(c.r, c.r), c.w.Core(c.r, c.r)
	gramPower(c.w, a.tall, 0, gramTol, -0.5, rootA)
	gramPower(c.w, b.tall, 0, gramTol, -0.5, rootB)
	for _, side := range []struct {
		*factor[T]
		metric dense.Core
	}{{&a, rootB}, {&b, rootA}} {
		side.average(r.Momentum, 1-r.Momentum, side.g)
		dense.MulCore(c.w, side.m, side.metric, side.g)
		sign(c.w, side.g, manifold.SignTol[T]())
		d := c.w.Mat(side.g.Rows, c.r)
		dense.MulCore(c.w, side.g, side.metric, d)
		side.move(root, c.rate()/(2*root), d)
	}
	return nil
}
