package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("stiefel-lora", func() Rule { return &StiefelLoRA{AdamW: newAdamW()} })
}

// StiefelLoRA keeps the columns of B orthonormal and lets A carry the size of X = s·B·A (Park et al. 2025, arXiv 2508.17901). A moves by
// AdamW, and B along the Stiefel manifold with a retraction by QR. The rule for B is Riemannian Adam
// (as in geoopt: one second moment a matrix), with the second moment taken per element, so that one learning rate serves both:
//
//	ξ = ∂B - B·sym(Bᵀ∂B)
//	M ← β₁·M + (1-β₁)·ξ,   v ← β₂·v + (1-β₂)·‖ξ‖²/(out·r)
//	B ← QR(B - η·M̂/(√v̂ + ε)),   M ← its part along the manifold at the new B
//
// X starts as the adapter's init left it, with B = U and A = Σ·Vᵀ/s from its singular value decomposition; where X is 0, the columns of
// B are random and A is tiny.
//
// State: out·r + 2·in·r values and one number. Cost: Adam's on A and about 10·out·r² operations. Invariances: the choice of the factors
// before the start, as long as the singular values of X differ; the scale of the loss, up to ε.
type StiefelLoRA struct {
	// AdamW moves A and other points; its decay leaves B alone.
	AdamW
}

// Defaults returns learning rate 2e-4, AdamW's, and no decay.
func (*StiefelLoRA) Defaults() Hyper { return Hyper{LR: 2e-4} }

// Validate checks the settings.
func (r *StiefelLoRA) Validate() error {
	if err := r.AdamW.Validate(); err != nil {
		return fmt.Errorf("stiefel-lora: %w", err)
	}
	return nil
}

// Split keeps LowRank points whole.
func (*StiefelLoRA) Split(p Point) []Point { return wholeLowRank(p) }

// Init makes the columns of B orthonormal.
func (r *StiefelLoRA) Init(p Point) (*State, error) {
	x, ok := p.(*LowRank)
	if !ok {
		return r.AdamW.Init(p)
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	c := x.pair()
	if err := c.canonical(w, manifold.Floor); err != nil {
		return nil, err
	}
	svd := c.load(w)
	dense.Copy(dense.Of(c.b, c.out, c.r), svd.U)
	for j, value := range svd.S {
		scale(c.a[j*c.in:][:c.in], float32(value/c.scale))
	}
	return &State{
		Buffers: map[string][]float32{
			momentumB: make([]float32, len(c.b)), averageA: make([]float32, len(c.a)), squareA: make([]float32, len(c.a)),
		},
		Scalars:  map[string]float64{meanSquare: 0},
		Counters: map[string]int64{"step": 0},
	}, nil
}

// Step moves p by one step.
func (r *StiefelLoRA) Step(p Point, s *State, h Hyper) error {
	rest := r.rest(1)
	return movePair(r, &rest, p, s, h, stepStiefelLoRA)
}

func stepStiefelLoRA(r *StiefelLoRA, c pairStep[float32]) error {
	adam := r.kernel(c.h, c.steps())
	adam.Step(c.a, c.ga, c.buffers[averageA], c.buffers[squareA])

	b, xi, m := dense.Of(c.b, c.out, c.r), c.gradB(), c.buffer(momentumB, c.out, c.r)
	projectStiefel(c.w, b, xi)
	mixInto(float32(r.Betas[0]), m.Data, float32(1-r.Betas[0]), xi.Data)
	v := float64(r.Betas[1]*c.scalars[meanSquare]) + float64((1-r.Betas[1])*dense.SquaredNorm(xi))/float64(len(c.b))
	c.scalars[meanSquare] = v
	if c.rate() == 0 || v == 0 {
		return nil
	}
	t := float64(c.steps())
	size := (1 - math.Pow(r.Betas[0], t)) * (math.Sqrt(v/(1-math.Pow(r.Betas[1], t))) + r.Eps)
	mixInto(1, b.Data, float32(-c.rate()/size), m.Data)
	dense.QR(c.w, b, c.w.Core(c.r, c.r), 0)
	projectStiefel(c.w, b, m)
	return nil
}
