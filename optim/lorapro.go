package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/dense"
)

func init() {
	Register("lora-pro", func() Rule { return &LoRAPro{FactorRule: newFactorRule(0.9, 1e-3)} })
}

// LoRAPro is LoRA-Pro (Wang et al. 2024, arXiv 2407.18242) over gradient descent: the factors move so that X = s·B·A moves as near to the
// full gradient as its factors allow, which is along the Riemannian gradient P_T(G) exactly. For learning rate η, decay λ, momentum μ and
// the projection P_B onto the span of B:
//
//	M_A ← μ·M_A + (1-μ)·∂A    A ← (1-ηλ)·A - η·(BᵀB)⁻¹·M_A/s²
//	M_B ← μ·M_B + (1-μ)·∂B    B ← (1-ηλ)·B - η·(I - P_B)·M_B·(AAᵀ)⁻¹/s²
//
// That is the solution in which A alone moves within the span of B; the paper picks another of the family, which differs in the second
// order of η. Momentum is an addition, of the gradients as they come: inverses of the Gram matrices of small factors are large and must
// not outlive them. Inverses are pseudo-inverses: where B is 0, A rests.
//
// State: one value an element, half of Adam's. Cost: about 8·(out+in)·r² operations. Invariances: any change of basis of the factors,
// momentum, decay and clipping included.
type LoRAPro struct{ FactorRule }

// Defaults returns learning rate 0.3 and no decay. It has the direction of riemann-sgd, but from B = 0 it takes longer to find its spaces.
func (*LoRAPro) Defaults() Hyper { return Hyper{LR: 0.3} }

// Validate checks the settings.
func (r *LoRAPro) Validate() error {
	if err := r.FactorRule.Validate(); err != nil {
		return fmt.Errorf("lora-pro: %w", err)
	}
	return nil
}

// SquaredNorm returns the squared length of the Riemannian gradient.
func (r *LoRAPro) SquaredNorm(p Point, _ *State) float64 { return riemannianSquaredNorm(p) }

// Step moves p by one step.
func (r *LoRAPro) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepLoRAPro[float32])
}

func stepLoRAPro[T dense.Float](r *LoRAPro, c pairStep[T]) error {
	a, b := c.factors()
	a.average(r.Momentum, 1-r.Momentum, a.g)
	b.average(r.Momentum, 1-r.Momentum, b.g)
	precondition(c.w, a.m, b.tall, 0, a.g)
	precondition(c.w, b.m, a.tall, 0, b.g)
	removeRange(c.w, b.tall, b.g)
	rate := c.rate() / (c.scale * c.scale)
	a.move(c.keep(), rate, a.g)
	b.move(c.keep(), rate, b.g)
	return nil
}
