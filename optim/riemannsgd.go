package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("riemann-sgd", func() Rule { return newRiemannSGD() })
}

func newRiemannSGD() *RiemannSGD {
	return &RiemannSGD{FixedRank: newFixedRank(2e-3), Momentum: 0.9, Normalize: NormalizeNone, Beta2: 0.999, Eps: 1e-8}
}

// Normalize is a way to divide a direction by a running mean of gradient lengths.
type Normalize string

// The normalisations of RiemannSGD.
const (
	// NormalizeNone leaves the direction as long as it is.
	NormalizeNone Normalize = "none"
	// NormalizeAdam is Adam with one second moment for the whole matrix, the mean of the gradient's squared length, and both moments
	// corrected for their start: the fixed-rank form of Riemannian Adam (Bécigneul and Ganea 2019, as in geoopt).
	NormalizeAdam Normalize = "adam"
	// NormalizePaper divides each of the two coordinates of the momentum by a mean of its length, simulate_Adam of Algorithm 6 with the
	// correction for the start that its print lacks. It treats X and its transpose differently.
	NormalizePaper Normalize = "paper"
)

// RiemannSGD is gradient descent with momentum on the manifold of matrices of fixed rank: RiemannLoRA, arXiv 2507.12142 v1 and
// Algorithm 6 of v2 with its print corrected. With the Riemannian gradient ξ = P_T(G), momentum M that moves along with the point,
// learning rate η, decay γ, momentum μ:
//
//	M ← μ·M + (1-μ)·ξ
//	X ← SVD_r((1-ηγ)·X - η·M / normaliser),   M ← P_T(M) at the new X
//
// Without momentum the direction is that of LoRA-Pro in weight space and of LORO's exact step.
//
// State: (out+in)·r values a point, half of Adam's, and at most two numbers. Cost: about 30·(out+in)·r² + 10³·r³ operations.
// Invariances: any change of basis of the factors, momentum, decay and normalisation included; scaling the loss if normalised, up to
// eps. It commutes with orthogonal maps, and with transposition of X except under NormalizePaper.
type RiemannSGD struct {
	FixedRank
	// Momentum is μ; default 0.9.
	Momentum float64 `yaml:"momentum"`
	// Normalize is none (the default), adam or paper.
	Normalize Normalize `yaml:"normalize"`
	// Beta2 is the decay rate of the mean of lengths, Eps is added to its value; default 0.999 and 1e-8.
	Beta2 float64 `yaml:"beta2"`
	Eps   float64 `yaml:"eps"`
}

// Defaults returns learning rate 0.1, that of the RiemannLoRA row of the paper's Table 2, and no decay. The rest of the points gets
// 0.002 of that, AdamW's usual rate. Normalised runs need a much smaller rate.
func (*RiemannSGD) Defaults() Hyper { return Hyper{LR: 0.1} }

// Validate checks 0 ≤ μ, β₂ < 1, ε ≥ 0 and the name of the normalisation.
func (r *RiemannSGD) Validate() error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("riemann-sgd: %w", err)
	}
	return nil
}

func (r *RiemannSGD) validate() error {
	switch err := r.FixedRank.Validate(); {
	case err != nil:
		return err
	case !(0 <= r.Momentum && r.Momentum < 1):
		return fmt.Errorf("momentum %v; it must be at least 0 and less than 1", r.Momentum)
	case r.Normalize != NormalizeNone && r.Normalize != NormalizeAdam && r.Normalize != NormalizePaper:
		return fmt.Errorf("normalize %q; it must be none, adam or paper", r.Normalize)
	case !(0 <= r.Beta2 && r.Beta2 < 1):
		return fmt.Errorf("beta2 %v; it must be at least 0 and less than 1", r.Beta2)
	case r.LRScaling == LRScalingAdamW && r.Normalize == NormalizeNone:
		return fmt.Errorf("lr_scaling adamw without normalisation, where steps are as long as the gradient; set normalize, or leave lr_scaling out")
	case !(r.Eps >= 0) || math.IsInf(r.Eps, 1):
		return fmt.Errorf("eps %v; it must be finite and not negative", r.Eps)
	}
	return nil
}

// The means of lengths in the state: of the squared gradient, or of the two coordinates of the momentum.
const (
	meanSquare = "mean_square"
	meanOut    = "mean_out"
	meanIn     = "mean_in"
)

// Init brings p into the canonical gauge and returns zero momentum and means.
func (r *RiemannSGD) Init(p Point) (*State, error) {
	s, err := r.FixedRank.Init(p)
	if _, ok := p.(*LowRank); !ok || err != nil {
		return s, err
	}
	switch r.Normalize {
	case NormalizeAdam:
		s.Scalars = map[string]float64{meanSquare: 0}
	case NormalizePaper:
		s.Scalars = map[string]float64{meanOut: 0, meanIn: 0}
	}
	return s, nil
}

// Step moves p by one step.
func (r *RiemannSGD) Step(p Point, s *State, h Hyper) error {
	rest := r.rest()
	return movePair(r, &rest, p, s, h, stepRiemannSGD[float32])
}

func stepRiemannSGD[T dense.Float](r *RiemannSGD, c pairStep[T]) error {
	m := c.motion()
	m.finish(nil, averaged(r, m))
	return nil
}

// averaged brings the momentum and the means up to date and returns the step along the momentum.
func averaged[T dense.Float](r *RiemannSGD, m motion[T]) manifold.Step {
	mix(r.Momentum, m.momentum, 1-r.Momentum, m.gradient)
	step := manifold.Step{Rate: m.rate(), Keep: m.keep()}
	t := float64(m.steps())
	correction := 1 - math.Pow(r.Beta2, t)
	mean := func(name string, value float64) float64 {
		v := float64(r.Beta2*m.scalars[name]) + float64((1-r.Beta2)*value)
		m.scalars[name] = v
		return v / correction
	}
	switch r.Normalize {
	case NormalizeAdam:
		d := math.Sqrt(mean(meanSquare, manifold.SquaredNorm(m.gradient))) + r.Eps
		d *= 1 - math.Pow(r.Momentum, t)
		step.DivideA, step.DivideB = d, d
		step.Rate *= r.LRScaling.factor(m.out, m.in, 1)
	case NormalizePaper:
		step.DivideA = mean(meanOut, dense.Norm(m.momentum.A)) + r.Eps
		step.DivideB = mean(meanIn, dense.Norm(m.momentum.B)) + r.Eps
		step.Rate *= r.LRScaling.factor(m.out, m.in, math.Sqrt2)
	}
	return step
}
