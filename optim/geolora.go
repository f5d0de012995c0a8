package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("geolora", func() Rule { return &GeoLoRA{RiemannSGD: *newRiemannSGD(), Tolerance: 0.1} })
}

// GeoLoRA chooses the rank of every layer as it goes (Schotthöfer et al. 2024, arXiv 2410.18720). Its parallel steps for U, S and V, put
// together, are a step of RiemannSGD whose retraction chooses the rank: with M as there and the core of (1-ηγ)·X - η·M in the bases of
// X extended by those of M, which have twice its rank,
//
//	X ← the part of (1-ηγ)·X - η·M with singular values above τ·‖core‖_F, at least 1 of them and at most r
//
// This is the algorithm as others have reconstructed it; the paper's may differ in detail. It has neither momentum nor normalisation,
// which RiemannSGD's settings add here: momentum 0 and normalize none give it.
//
// The adapter's r is the room that the rank has: files and memory keep their shape, and what lies beyond a layer's rank is exact zeros in
// the last columns of B and rows of A, which cost arithmetic in the forward pass all the same. The step's own cost falls with the rank.
// The rank may grow again, up to twofold a step.
//
// State, cost and invariances: those of RiemannSGD.
type GeoLoRA struct {
	RiemannSGD
	// Tolerance is τ; default 0.1. 0 keeps the rank at r, where the rule is riemann-sgd.
	Tolerance float64 `yaml:"tolerance"`
}

// Validate checks the settings.
func (r *GeoLoRA) Validate() error {
	if err := r.RiemannSGD.validate(); err != nil {
		return fmt.Errorf("geolora: %w", err)
	}
	if !(0 <= r.Tolerance && r.Tolerance < 1) {
		return fmt.Errorf("geolora: tolerance %v; it must be at least 0 and less than 1", r.Tolerance)
	}
	return nil
}

// Step moves p by one step.
func (r *GeoLoRA) Step(p Point, s *State, h Hyper) error {
	rest := r.rest()
	return movePair(r, &rest, p, s, h, stepGeoLoRA[float32])
}

func stepGeoLoRA[T dense.Float](r *GeoLoRA, c pairStep[T]) error {
	m := c.motion()
	step := averaged(&r.RiemannSGD, m)
	if step.Rate == 0 && step.Keep == 1 {
		return nil
	}
	manifold.AdvanceWithin(m.w, m.x, rankOf(m.pair), m.momentum, step, r.Tolerance)
	m.storePolished()
	return nil
}

// rankOf returns the number of columns of B before those that are 0.
func rankOf[T dense.Float](p pair[T]) int {
	rank := p.r
	for rank > 1 && dense.SquaredNorm(dense.Of(p.b, p.out, p.r).Columns(rank-1, rank)) == 0 {
		rank--
	}
	return rank
}
