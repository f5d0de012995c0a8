package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/optim/manifold"
)

// FixedRank is what the rules on the manifold of matrices of fixed rank share: LowRank points move as a whole, on factors that the rule
// keeps in the canonical gauge A = Vᵀ, B = U·diag(σ)/Scale with orthonormal U and V. In this gauge the gradients of the factors are the
// two thin products G·V = ∂B/Scale and (Gᵀ·U)ⱼ = ∂Aⱼ/σⱼ exactly, whatever the condition of X. All other points move by AdamW.
//
// A point with B = 0, the usual start of LoRA, is off the manifold. It starts with the span of A, random directions for B and singular
// values StartSigma. Once the gauge is there it can be read off the factors, so that it takes no state. The rank must not exceed either
// side of the matrix.
type FixedRank struct {
	// StartSigma is the singular value that directions get in which X is 0 at the start; default 1e-6.
	StartSigma float64 `yaml:"start_sigma"`
	// LRScaling is none (the default), or adamw, which multiplies the length of steps by 0.2·√(out·in) over the length of the rule's
	// direction, √(2r) for a matrix sign: the elements of X then move as much as under AdamW at the same learning rate, so that such a
	// rate carries over. Only rules whose direction has a length of its own take it.
	LRScaling LRScaling `yaml:"lr_scaling"`
	// Rest sets the AdamW that moves biases, magnitudes and whole modules; with LRScaling adamw its LRRatio is 1.
	Rest Rest `yaml:"rest"`
}

// LRScaling is a way to make learning rates comparable between matrices of different shapes.
type LRScaling string

// The values of LRScaling.
const (
	LRScalingNone  LRScaling = "none"
	LRScalingAdamW LRScaling = "adamw"
)

// adamWRMS is the typical size of the elements of an AdamW step over its learning rate, as Moonlight measured it (Liu et al. 2025, arXiv
// 2502.16982).
const adamWRMS = 0.2

// factor returns what the learning rate of an out×in matrix is multiplied by when directions have the given Frobenius norm.
func (l LRScaling) factor(out, in int, norm float64) float64 {
	if l != LRScalingAdamW {
		return 1
	}
	return adamWRMS * math.Sqrt(float64(out)*float64(in)) / norm
}

// ofSign is factor for directions with the length of a matrix sign of rank 2r.
func (l LRScaling) ofSign(out, in, r int) float64 { return l.factor(out, in, math.Sqrt(float64(2*r))) }

// rest returns the settings of the points that AdamW moves: at the learning rate itself if that is AdamW's already.
func (l LRScaling) rest(r Rest) Rest {
	if l == LRScalingAdamW {
		r.LRRatio = 1
	}
	return r
}

func (l LRScaling) validate() error {
	if l != LRScalingNone && l != LRScalingAdamW {
		return fmt.Errorf("lr_scaling %q; it must be none or adamw", l)
	}
	return nil
}

// newFixedRank returns the defaults.
func newFixedRank(lrRatio float64) FixedRank {
	return FixedRank{StartSigma: 1e-6, LRScaling: LRScalingNone, Rest: newRest(lrRatio)}
}

func (f *FixedRank) rest() Rest { return f.LRScaling.rest(f.Rest) }

// Validate checks the settings; rules with more of them check those too.
func (f *FixedRank) Validate() error {
	if !(f.StartSigma >= manifold.Floor) || math.IsInf(f.StartSigma, 1) {
		return fmt.Errorf("start_sigma %v; it must be finite and at least %g", f.StartSigma, manifold.Floor)
	}
	if err := f.LRScaling.validate(); err != nil {
		return err
	}
	return f.Rest.validate()
}

// Split keeps LowRank points whole.
func (*FixedRank) Split(p Point) []Point { return wholeLowRank(p) }

// The entries of a LowRank point's state: the coordinates of the momentum, out×r and in×r.
const (
	momentumOut = "momentum_out"
	momentumIn  = "momentum_in"
)

// Init brings a LowRank point into the canonical gauge, which leaves X as it is unless its rank is too low, and returns zero momentum:
// (out+in)·r values, half of Adam's state.
func (f *FixedRank) Init(p Point) (*State, error) {
	x, ok := p.(*LowRank)
	if !ok {
		a := f.Rest.adamW()
		return a.Init(p)
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	if err := x.pair().canonical(w, f.StartSigma); err != nil {
		return nil, err
	}
	return &State{
		Buffers: map[string][]float32{
			momentumOut: make([]float32, x.B().Value.Len()), momentumIn: make([]float32, x.A().Value.Len()),
		},
		Counters: map[string]int64{"step": 0},
	}, nil
}

// SquaredNorm returns the squared length of the Riemannian gradient, which does not depend on the factors.
func (f *FixedRank) SquaredNorm(p Point, _ *State) float64 {
	c, ok := p.(*LowRank).withGradients()
	if !ok {
		return 0 // Step reports it
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	return manifold.SquaredNorm(c.gradient(w, c.load(w)))
}
