package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/dense"
)

func init() {
	Register("lora-pro", func() Rule { return &LoRAPro{FactorRule: newFactorRule(0.9, 2e-3)} })
}

// LoRAPro is LoRA-Pro (Wang et al. 2024, arXiv 2407.18242) over gradient descent with momentum: the factors move so that X = s·B·A moves
// as near to the full gradient's direction as its factors allow, which is along the Riemannian gradient P_T(G). For learning rate η,
// decay λ, momentum μ and the projection P_B onto the span of B:
//
//	M_A ← μ·M_A + (BᵀB)⁻¹·∂A/s²              A ← (1-ηλ)·A - η·M_A
//	M_B ← μ·M_B + (I - P_B)·∂B·(AAᵀ)⁻¹/s²    B ← (1-ηλ)·B - η·M_B
//
// That is the solution in which A alone moves within the span of B; the paper picks another of the family, which differs in the second
// order of η. Inverses are pseudo-inverses: where B is 0, A rests.
//
// State: one value an element, half of Adam's. Cost: about 8·(out+in)·r² operations. Invariances: any change of basis of the factors,
// momentum and decay included.
type LoRAPro struct{ FactorRule }

// Defaults returns learning rate 0.1, that of riemann-sgd, whose direction it has, and no decay.
func (*LoRAPro) Defaults() Hyper { return Hyper{LR: 0.1} }

// Validate checks the settings.
func (r *LoRAPro) Validate() error {
	if err := r.FactorRule.Validate(); err != nil {
		return fmt.Errorf("lora-pro: %w", err)
	}
	return nil
}

// Step moves p by one step.
func (r *LoRAPro) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepLoRAPro[float32])
}

func stepLoRAPro[T dense.Float](r *LoRAPro, c pairStep[T]) error {
	a, b := c.factors()
	precondition(c.w, a.g, b.tall, 0, a.g)
	precondition(c.w, b.g, a.tall, 0, b.g)
	removeRange(c.w, b.tall, b.g)
	for _, f := range []*factor[T]{&a, &b} {
		f.average(r.Momentum, 1/(c.scale*c.scale), f.g)
		f.move(c.keep(), c.rate(), f.m)
	}
	return nil
}
