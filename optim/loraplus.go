package optim

import (
	"fmt"
	"math"
)

func init() {
	Register("lora-plus", func() Rule { return &LoRAPlus{AdamW: newAdamW(), Ratio: 16} })
}

// LoRAPlus is LoRA+ (Hayou et al. 2024, arXiv 2402.12354): AdamW with a larger learning rate for the factor B of LowRank points, which
// starts at 0, than for A and all else. Group patterns do the same by name.
//
// State and cost are those of AdamW. Invariances: scaling the loss, up to ε; no change of basis of the factors.
type LoRAPlus struct {
	AdamW
	// Ratio is the learning rate of B over that of the other tensors; default 16.
	Ratio float64 `yaml:"ratio"`
}

// Defaults returns learning rate 2e-4, so that B gets 3.2e-3, and decay 0.01.
func (r *LoRAPlus) Defaults() Hyper { return r.AdamW.Defaults() }

// Validate checks the settings.
func (r *LoRAPlus) Validate() error {
	if err := r.AdamW.Validate(); err != nil {
		return fmt.Errorf("lora-plus: %w", err)
	}
	if !(r.Ratio > 0) || math.IsInf(r.Ratio, 1) {
		return fmt.Errorf("lora-plus: ratio %v; it must be finite and positive", r.Ratio)
	}
	return nil
}

// Step moves the tensor p by one step.
func (r *LoRAPlus) Step(p Point, s *State, h Hyper) error {
	if isB(p) {
		h.LR *= r.Ratio
	}
	return r.AdamW.Step(p, s, h)
}

// isB reports whether p is the factor B of a LowRank point that PerTensor took apart.
func isB(p Point) bool {
	q, ok := p.(*part)
	if !ok || q.i != 1 {
		return false
	}
	_, ok = q.owner.(*LowRank)
	return ok
}
