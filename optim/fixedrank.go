package optim

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/graph/kernel/dense"
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
	// Rest sets the AdamW that moves biases, magnitudes and whole modules.
	Rest Rest `yaml:"rest"`
}

// newFixedRank returns the defaults.
func newFixedRank(lrRatio float64) FixedRank {
	return FixedRank{StartSigma: 1e-6, Rest: newRest(lrRatio)}
}

// Validate checks the settings; rules with more of them check those too.
func (f *FixedRank) Validate() error {
	if !(f.StartSigma >= manifold.Floor) || math.IsInf(f.StartSigma, 1) {
		return fmt.Errorf("start_sigma %v; it must be finite and at least %g", f.StartSigma, manifold.Floor)
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
	if err := f.canonical(x); err != nil {
		return nil, err
	}
	return &State{
		Buffers: map[string][]float32{
			momentumOut: make([]float32, x.B().Value.Len()), momentumIn: make([]float32, x.A().Value.Len()),
		},
		Counters: map[string]int64{"step": 0},
	}, nil
}

// workspaces serve all rules on manifolds.
var workspaces dense.Pool[float32]

// canonical rewrites the factors of p in the canonical gauge. Random directions depend on the name of p alone.
func (f *FixedRank) canonical(p *LowRank) error {
	out, in, r := p.size()
	if r > min(out, in) {
		return fmt.Errorf("rank %d of a %d×%d matrix; it must be at most %d", r, out, in, min(out, in))
	}
	if s := float64(p.Scale); s == 0 || math.IsNaN(s) || math.IsInf(s, 0) {
		return fmt.Errorf("scale %v; it must be finite and not 0", s)
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	b, a := w.Mat(out, r), w.Mat(in, r)
	copy(b.Data, p.B().Value.F32)
	dense.Copy(a, dense.Of(p.A().Value.F32, r, in).T())
	for i := range b.Data {
		b.Data[i] *= p.Scale
	}
	if n := dense.Norm(a) * dense.Norm(b); math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("the factors hold a value that is not finite")
	}
	h := fnv.New64a()
	h.Write([]byte(p.Name()))
	x := manifold.NewPoint(w, out, in, r)
	manifold.FromFactors(w, b, a, x, f.StartSigma, rand.New(rand.NewPCG(h.Sum64(), 0)).NormFloat64)
	p.storePoint(w, x)
	return nil
}

// size returns the extents of X and its rank.
func (p *LowRank) size() (out, in, r int) {
	return p.B().Value.Shape[0], p.A().Value.Shape[1], p.A().Value.Shape[0]
}

// loadPoint reads X off factors in the canonical gauge.
func (p *LowRank) loadPoint(w *dense.Workspace[float32]) manifold.Point[float32] {
	out, in, r := p.size()
	x := manifold.NewPoint(w, out, in, r)
	b := dense.Of(p.B().Value.F32, out, r)
	dense.Copy(x.V, dense.Of(p.A().Value.F32, r, in).T())
	norms := w.Values(r)
	dense.ColumnNorms(b, norms)
	for j, norm := range norms {
		x.S[j] = max(norm*math.Abs(float64(p.Scale)), manifold.Floor)
		if norm == 0 {
			norm = 1
		}
		norms[j] = math.Copysign(1/norm, float64(p.Scale))
	}
	dense.ScaleColumns(x.U, b, norms)
	return x
}

// storePoint writes X to the factors.
func (p *LowRank) storePoint(w *dense.Workspace[float32], x manifold.Point[float32]) {
	out, in, r := p.size()
	dense.Copy(dense.Of(p.A().Value.F32, r, in), x.V.T())
	factors := w.Values(r)
	for j, s := range x.S {
		factors[j] = s / float64(p.Scale)
	}
	dense.ScaleColumns(dense.Of(p.B().Value.F32, out, r), x.U, factors)
}

// gradient returns the Riemannian gradient at x from the gradients of the factors.
func (p *LowRank) gradient(w *dense.Workspace[float32], x manifold.Point[float32]) (manifold.Tangent[float32], error) {
	out, in, r := p.size()
	xi := manifold.NewTangent(w, out, in, r)
	if p.A().Grad == nil || p.B().Grad == nil {
		return xi, errHalfFrozen
	}
	for i, g := range p.B().Grad.F32 {
		xi.A.Data[i] = g / p.Scale
	}
	for j, s := range x.S {
		for i, g := range p.A().Grad.F32[j*in:][:in] {
			xi.B.Data[i*r+j] = float32(float64(g) / s)
		}
	}
	manifold.Project(w, x, xi.A, xi.B, xi)
	return xi, nil
}

// SquaredNorm returns the squared length of the Riemannian gradient, which does not depend on the factors.
func (f *FixedRank) SquaredNorm(p Point, _ *State) float64 {
	x, ok := p.(*LowRank)
	if !ok {
		var sum float64
		for _, t := range p.Tensors() {
			if t.Grad != nil {
				sum += cpu.SumSquares(t.Grad.F32)
			}
		}
		return sum
	}
	w := workspaces.Get()
	defer workspaces.Put(w)
	xi, err := x.gradient(w, x.loadPoint(w))
	if err != nil {
		return 0 // Step reports it
	}
	return manifold.SquaredNorm(xi)
}

// polishPeriod is the number of steps between two removals of the rounding errors that add up in U and V.
const polishPeriod = 32

// motion is one step of one LowRank point while it is made.
type motion struct {
	w        *dense.Workspace[float32]
	p        *LowRank
	s        *State
	x        manifold.Point[float32]
	gradient manifold.Tangent[float32]
	momentum manifold.Tangent[float32]
}

// begin counts the step and reads the point, its gradient and its momentum, the last of which is the state itself. The caller puts the
// workspace back.
func (f *FixedRank) begin(w *dense.Workspace[float32], p *LowRank, s *State) (motion, error) {
	m := motion{w: w, p: p, s: s, x: p.loadPoint(w)}
	var err error
	if m.gradient, err = p.gradient(w, m.x); err != nil {
		return m, err
	}
	out, in, r := p.size()
	m.momentum.A = dense.Of(s.Buffers[momentumOut], out, r)
	m.momentum.B = dense.Of(s.Buffers[momentumIn], in, r)
	s.Counters["step"]++
	return m, nil
}

// finish moves the point and its momentum and stores the point.
func (m *motion) finish(ahead *manifold.Tangent[float32], step manifold.Step) {
	if step.Rate == 0 && step.Keep == 1 {
		return
	}
	manifold.Advance(m.w, m.x, m.momentum, ahead, step)
	if m.s.Counters["step"]%polishPeriod == 0 {
		manifold.Reorthogonalise(m.w, m.x.U)
		manifold.Reorthogonalise(m.w, m.x.V)
	}
	m.p.storePoint(m.w, m.x)
}

// mix replaces a by alpha·a + beta·b.
func mix(alpha float32, a manifold.Tangent[float32], beta float32, b manifold.Tangent[float32]) {
	mixInto(alpha, a.A.Data, beta, b.A.Data)
	mixInto(alpha, a.B.Data, beta, b.B.Data)
}

// mixInto keeps products apart from sums, so that every platform gives the same bits.
func mixInto(alpha float32, a []float32, beta float32, b []float32) {
	b = b[:len(a)]
	for i, v := range a {
		a[i] = float32(alpha*v) + float32(beta*b[i])
	}
}
