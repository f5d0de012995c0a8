package optim

import (
	"errors"
	"fmt"
	"math"
)

// Rest sets the AdamW of the points that a rule has no geometry for. They share its weight decay coefficient.
type Rest struct {
	// LRRatio is AdamW's learning rate over that of the rule.
	LRRatio float64 `yaml:"lr_ratio"`
	// Betas and Eps are those of AdamW; default 0.9, 0.999 and 1e-8.
	Betas [2]float64 `yaml:"betas"`
	Eps   float64    `yaml:"eps"`
}

func newRest(lrRatio float64) Rest {
	a := newAdamW()
	return a.rest(lrRatio)
}

// rest returns the Rest that moves as a does, at lrRatio times the rule's learning rate.
func (a *AdamW) rest(lrRatio float64) Rest { return Rest{LRRatio: lrRatio, Betas: a.Betas, Eps: a.Eps} }

func (r *Rest) adamW() AdamW { return AdamW{Betas: r.Betas, Eps: r.Eps} }

func (r *Rest) validate() error {
	if !(r.LRRatio >= 0) || math.IsInf(r.LRRatio, 1) {
		return fmt.Errorf("rest: lr_ratio %v; it must be finite and not negative", r.LRRatio)
	}
	a := r.adamW()
	if err := a.Validate(); err != nil {
		return fmt.Errorf("rest: %w", err)
	}
	return nil
}

// move moves a point by AdamW.
func (r *Rest) move(p Point, s *State, h Hyper) error {
	h.LR *= r.LRRatio
	a := r.adamW()
	return a.Step(p, s, h)
}

// wholeLowRank is the Split of rules that move LowRank points whole and everything else by tensor.
func wholeLowRank(p Point) []Point {
	if _, ok := p.(*LowRank); ok {
		return []Point{p}
	}
	return PerTensor(p)
}

var errHalfFrozen = errors.New("one factor is frozen; the rule moves both or none")
