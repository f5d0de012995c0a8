package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("loro", func() Rule {
		return &LORO{AdamW: newAdamW(), Period: 100, ExactGradient: ExactRaw, RestLRRatio: 0.05}
	})
}

// ExactGradient is what LORO's exact steps take for the gradients of the factors.
type ExactGradient string

// The values of ExactGradient.
const (
	// ExactRaw takes the gradients as they are, so that an exact step is SVD_r(X - η·P_T(G)).
	ExactRaw ExactGradient = "raw"
	// ExactAdam takes Adam's directions, as the published code does.
	ExactAdam ExactGradient = "adam"
)

// LORO (Mo et al. 2025, ICLR, "Parameter and memory efficient pretraining via low-rank Riemannian optimization") moves the factors of
// X = s·B·A by AdamW at a smaller rate, and every few steps makes an exact step on the manifold of fixed rank. With learning rate η,
// decay λ and Adam's directions D:
//
//	between:  A ← (1-ηλ)·A - η·c·D_A,  B likewise, with c = r/max(out,in)
//	exact:    X ← SVD_r((1-ηλ)²·X - η·P_T(G)),  B = U√Σ/√s, A = √Σ·Vᵀ/√s, and Adam starts anew
//
// The tangent vector of the exact step comes from the gradients of the factors: G·V = ∂B·R_A⁻¹/s and GᵀU = ∂Aᵀ·R_B⁻¹/s for B = U·R_B and
// Aᵀ = V·R_A. The published code feeds Adam's directions into the exact step too, where its runs restart the learning rate; on adapters,
// whose singular values are small, such a step replaces X, so that the default is the gradient itself.
//
// State: that of AdamW and a counter. Cost: AdamW's; exact steps take about 30·(out+in)·r² + 10³·r³ operations. Invariances: exact steps
// on raw gradients have that under any change of basis of the factors; the steps between have none.
type LORO struct {
	AdamW
	// Period is the number of steps from one exact step to the next; default 100 (the published pre-training runs take 500).
	Period int `yaml:"period"`
	// ExactGradient is raw (the default) or adam.
	ExactGradient ExactGradient `yaml:"exact_gradient"`
	// RestLRRatio is AdamW's learning rate for points that are no LowRank over η; default 0.05.
	RestLRRatio float64 `yaml:"rest_lr_ratio"`
}

// Defaults returns learning rate 1e-2, that of the published runs, and no decay.
func (*LORO) Defaults() Hyper { return Hyper{LR: 1e-2} }

// Validate checks the settings.
func (r *LORO) Validate() error {
	switch err := r.AdamW.Validate(); {
	case err != nil:
		return fmt.Errorf("loro: %w", err)
	case r.Period < 1:
		return fmt.Errorf("loro: period %d; it must be at least 1", r.Period)
	case r.ExactGradient != ExactRaw && r.ExactGradient != ExactAdam:
		return fmt.Errorf("loro: exact_gradient %q; it must be raw or adam", r.ExactGradient)
	}
	rest := r.rest(r.RestLRRatio)
	if err := rest.validate(); err != nil {
		return fmt.Errorf("loro: %w", err)
	}
	return nil
}

// Split keeps LowRank points whole.
func (*LORO) Split(p Point) []Point { return wholeLowRank(p) }

// sinceExact counts the steps of Adam since the last exact one.
const sinceExact = "since_exact"

// Init returns zero averages.
func (r *LORO) Init(p Point) (*State, error) {
	x, ok := p.(*LowRank)
	if !ok {
		return r.AdamW.Init(p)
	}
	if err := x.pair().checkRank(); err != nil {
		return nil, err
	}
	s := factorAverages(x)
	s.Counters[sinceExact] = 0
	return s, nil
}

// Step moves p by one step.
func (r *LORO) Step(p Point, s *State, h Hyper) error {
	rest := r.rest(r.RestLRRatio)
	return movePair(r, &rest, p, s, h, stepLORO)
}

func stepLORO(r *LORO, c pairStep[float32]) error {
	c.counters[sinceExact]++
	if c.steps()%int64(r.Period) != 0 {
		adam := r.kernel(c.h, c.counters[sinceExact])
		adam.Rate *= float32(c.r) / float32(max(c.out, c.in))
		adam.Step(c.a, c.ga, c.buffers[averageA], c.buffers[squareA])
		adam.Step(c.b, c.gb, c.buffers[averageB], c.buffers[squareB])
		return nil
	}
	if r.ExactGradient == ExactAdam {
		unit := r.kernel(Hyper{LR: -1}, c.counters[sinceExact]) // adds the directions to zeros
		da, db := c.w.Mat(c.r, c.in), c.w.Mat(c.out, c.r)
		unit.Step(da.Data, c.ga, c.buffers[averageA], c.buffers[squareA])
		unit.Step(db.Data, c.gb, c.buffers[averageB], c.buffers[squareB])
		c.ga, c.gb = da.Data, db.Data
	}
	exactLORO(c)
	for _, name := range []string{averageA, averageB, squareA, squareB} {
		clear(c.buffers[name])
	}
	c.counters[sinceExact] = 0
	return nil
}

// exactLORO is SVD_r(keep²·X - rate·P_T(G)), whose factors get equal shares of the singular values.
func exactLORO[T dense.Float](c pairStep[T]) {
	x, xi := c.svd()
	manifold.Advance(c.w, x, xi, nil, manifold.Step{Rate: c.rate(), Keep: c.keep() * c.keep()})
	roots, v := c.w.Values(c.r), c.w.Mat(c.in, c.r)
	for j, s := range x.S {
		roots[j] = math.Sqrt(s / math.Abs(c.scale))
	}
	dense.ScaleColumns(v, x.V, roots)
	dense.Copy(dense.Of(c.a, c.r, c.in), v.T())
	for j := range roots {
		roots[j] = math.Copysign(roots[j], c.scale)
	}
	dense.ScaleColumns(dense.Of(c.b, c.out, c.r), x.U, roots)
}
