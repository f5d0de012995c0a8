package optim

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

// checkRank refuses factors that are wider than they are long, and a scale at which X says nothing of them.
func (p pair[T]) checkRank() error {
	if p.r > min(p.out, p.in) {
		return fmt.Errorf("rank %d of a %d×%d matrix; it must be at most %d", p.r, p.out, p.in, min(p.out, p.in))
	}
	if p.scale == 0 || math.IsNaN(p.scale) || math.IsInf(p.scale, 0) {
		return fmt.Errorf("scale %v; it must be finite and not 0", p.scale)
	}
	return nil
}

// canonical rewrites the factors in the canonical gauge A = Vᵀ, B = U·diag(σ)/scale. Where X has rank below r its missing singular values
// become start, in directions that depend on the name of the point alone.
func (p pair[T]) canonical(w *dense.Workspace[T], start float64) error {
	if err := p.checkRank(); err != nil {
		return err
	}
	b, a := contiguous(w, dense.Of(p.b, p.out, p.r)), contiguous(w, dense.Of(p.a, p.r, p.in).T())
	for i := range b.Data {
		b.Data[i] *= T(p.scale)
	}
	if n := dense.Norm(a) * dense.Norm(b); math.IsNaN(n) || math.IsInf(n, 0) {
		return fmt.Errorf("the factors hold a value that is not finite")
	}
	h := fnv.New64a()
	h.Write([]byte(p.name))
	x := manifold.NewPoint(w, p.out, p.in, p.r)
	manifold.FromFactors(w, b, a, x, start, rand.New(rand.NewPCG(h.Sum64(), 0)).NormFloat64)
	p.store(w, x)
	return nil
}

// load reads X off factors in the canonical gauge.
func (p pair[T]) load(w *dense.Workspace[T]) manifold.Point[T] {
	x := manifold.NewPoint(w, p.out, p.in, p.r)
	b := dense.Of(p.b, p.out, p.r)
	dense.Copy(x.V, dense.Of(p.a, p.r, p.in).T())
	norms := w.Values(p.r)
	dense.ColumnNorms(b, norms)
	for j, norm := range norms {
		x.S[j] = max(norm*math.Abs(p.scale), manifold.Floor)
		if norm == 0 {
			norm = 1
		}
		norms[j] = math.Copysign(1/norm, p.scale)
	}
	dense.ScaleColumns(x.U, b, norms)
	return x
}

// store writes X to the factors.
func (p pair[T]) store(w *dense.Workspace[T], x manifold.Point[T]) {
	dense.Copy(dense.Of(p.a, p.r, p.in), x.V.T())
	factors := w.Values(p.r)
	for j, s := range x.S {
		factors[j] = s / p.scale
	}
	dense.ScaleColumns(dense.Of(p.b, p.out, p.r), x.U, factors)
}

// gradient returns the Riemannian gradient at x, the point's matrix, from the gradients of the factors in the canonical gauge.
func (p pair[T]) gradient(w *dense.Workspace[T], x manifold.Point[T]) manifold.Tangent[T] {
	xi := manifold.NewTangent(w, p.out, p.in, p.r)
	for i, g := range p.gb {
		xi.A.Data[i] = g / T(p.scale)
	}
	for j, s := range x.S {
		for i, g := range p.ga[j*p.in:][:p.in] {
			xi.B.Data[i*p.r+j] = T(float64(g) / s)
		}
	}
	manifold.Project(w, x, xi.A, xi.B, xi)
	return xi
}

// svd returns X and the Riemannian gradient from factors in any gauge, as new matrices.
func (p pairStep[T]) svd() (manifold.Point[T], manifold.Tangent[T]) {
	x, xi := manifold.NewPoint(p.w, p.out, p.in, p.r), manifold.NewTangent(p.w, p.out, p.in, p.r)
	left, right := newSide(p.w, p.tallB()), newSide(p.w, p.tallA())
	core, u, v := p.w.Core(p.r, p.r), p.w.Core(p.r, p.r), p.w.Core(p.r, p.r)
	dense.Mul(p.scale, left.upper, right.upper.T(), 0, core)
	dense.SVD(p.w, core, u, x.S, v)
	for j, s := range x.S {
		x.S[j] = max(s, manifold.Floor)
	}
	dense.MulCore(p.w, left.q, u, x.U)
	dense.MulCore(p.w, right.q, v, x.V)
	// G·V = ∂B·R_A⁻¹·v/s, and GᵀU likewise.
	dense.Mul(1/p.scale, right.inverse, v, 0, core)
	dense.MulCore(p.w, p.gradB(), core, xi.A)
	dense.Mul(1/p.scale, left.inverse, u, 0, core)
	dense.MulCore(p.w, p.gradA(), core, xi.B)
	manifold.Project(p.w, x, xi.A, xi.B, xi)
	return x, xi
}

// polishPeriod is the number of steps between two removals of the rounding errors that add up in U and V.
const polishPeriod = 32

// motion is one step of a point on the manifold while it is made.
type motion[T dense.Float] struct {
	pairStep[T]
	x        manifold.Point[T]
	gradient manifold.Tangent[T]
	momentum manifold.Tangent[T] // the state itself
}

// motion reads the point, its gradient and its momentum.
func (p pairStep[T]) motion() motion[T] {
	x := p.load(p.w)
	return motion[T]{pairStep: p, x: x, gradient: p.pair.gradient(p.w, x), momentum: manifold.Tangent[T]{
		A: dense.Of(p.buffers[momentumOut], p.out, p.r), B: dense.Of(p.buffers[momentumIn], p.in, p.r),
	}}
}

// finish moves the point and its momentum along the momentum, or along ahead if that is not nil, and stores the point.
func (m motion[T]) finish(ahead *manifold.Tangent[T], step manifold.Step) {
	if step.Rate == 0 && step.Keep == 1 {
		return
	}
	manifold.Advance(m.w, m.x, m.momentum, ahead, step)
	m.storePolished()
}

// storePolished stores the point, polished now and then.
func (m motion[T]) storePolished() {
	if m.steps()%polishPeriod == 0 {
		manifold.Reorthogonalise(m.w, m.x.U)
		manifold.Reorthogonalise(m.w, m.x.V)
	}
	m.store(m.w, m.x)
}

// mix replaces a by alpha·a + beta·b.
func mix[T dense.Float](alpha float64, a manifold.Tangent[T], beta float64, b manifold.Tangent[T]) {
	mixInto(T(alpha), a.A.Data, T(beta), b.A.Data)
	mixInto(T(alpha), a.B.Data, T(beta), b.B.Data)
}
