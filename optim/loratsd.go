package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("lora-tsd", func() Rule {
		return &LoRATSD{FactorRule: newFactorRule(0.95, 0.04), Projections: 3, Rebalance: 250, LRScaling: LRScalingNone}
	})
}

// LoRATSD is LoRA-TSD (arXiv 2609.02734): the direction of Riemannion on factors that stay what they are. The gradients of the factors are
// averaged, together they stand for a tangent vector M at X = s·B·A, and its projected matrix sign D moves the factors so that X moves
// along it. For learning rate η, decay λ, momentum μ and pseudo-inverses ⁺:
//
//	M_A ← μ·M_A + (1-μ)·∂A,   M_B ← μ·M_B + (1-μ)·∂B
//	D = P_T(msign(M)), τ times, for M with M·V = M_B·R_A⁻¹/s and Mᵀ·U = M_Aᵀ·R_B⁻¹/s where B = U·R_B and Aᵀ = V·R_A
//	ΔB = -(η/s)·D·A⁺,   ΔA = B⁺·(-(η/s)·D - ΔB·A)
//	B ← √(1-ηλ)·B + ΔB,   A ← √(1-ηλ)·A + ΔA
//
// Every few steps one number brings the factors to equal length. Where B is 0, A rests. The sign is exact, where the paper iterates; it
// decays the factors apart, here X decays by 1-ηλ.
//
// State: one value an element, half of Adam's. Cost: about 30·(out+in)·r² + 10³·τ·r³ operations, without the decomposition that a
// retraction needs. Invariances: any change of basis of the factors, momentum, decay and clipping included; the scale of the loss.
type LoRATSD struct {
	FactorRule
	// Projections is τ, how often sign and projection alternate; default 3.
	Projections int `yaml:"projections"`
	// Rebalance is the number of steps between two balancings of the factors, 0 for never; default 250.
	Rebalance int `yaml:"rebalance"`
	// LRScaling is that of FixedRank; default none.
	LRScaling LRScaling `yaml:"lr_scaling"`
}

// Defaults returns the learning rate of riemannion, whose steps have the same spectral length, and no decay.
func (*LoRATSD) Defaults() Hyper { return Hyper{LR: (*Riemannion)(nil).Defaults().LR} }

// Validate checks the settings.
func (r *LoRATSD) Validate() error {
	switch err := r.FactorRule.Validate(); {
	case err != nil:
		return fmt.Errorf("lora-tsd: %w", err)
	case r.Projections < 1 || r.Projections > 100:
		return fmt.Errorf("lora-tsd: projections %d; it must be between 1 and 100", r.Projections)
	case r.Rebalance < 0:
		return fmt.Errorf("lora-tsd: rebalance %d; it must not be negative", r.Rebalance)
	}
	if err := r.LRScaling.validate(); err != nil {
		return fmt.Errorf("lora-tsd: %w", err)
	}
	return nil
}

// SquaredNorm returns the squared length of the Riemannian gradient.
func (r *LoRATSD) SquaredNorm(p Point, _ *State) float64 { return riemannianSquaredNorm(p) }

// StepLength implements StepLengther: lr, times what LRScaling makes of it.
func (r *LoRATSD) StepLength(p *LowRank, lr float64) float64 {
	return lr * r.LRScaling.ofSign(p.size())
}

// Step moves p by one step.
func (r *LoRATSD) Step(p Point, s *State, h Hyper) error {
	rest := r.LRScaling.rest(r.Rest)
	return movePair(r, &rest, p, s, h, stepLoRATSD[float32])
}

func stepLoRATSD[T dense.Float](r *LoRATSD, c pairStep[T]) error {
	if !(c.keep() > 0) {
		return fmt.Errorf("learning rate %v with decay %v; their product must be less than 1", c.h.LR, c.h.WeightDecay)
	}
	a, b := c.factors()
	a.average(r.Momentum, 1-r.Momentum, a.g)
	b.average(r.Momentum, 1-r.Momentum, b.g)
	u, v := newSpan(c.w, b.tall), newSpan(c.w, a.tall)
	dense.MulCore(c.w, b.m, v.inverse, b.g) // s·M·V and s·Mᵀ·U; the sign does not depend on s
	dense.MulCore(c.w, a.m, u.inverse, a.g)
	u.extend(c.w, b.g.Columns(0, v.rank))
	v.extend(c.w, a.g.Columns(0, u.rank))
	k := c.w.Core(u.basis.Cols, v.basis.Cols)
	tangentCore(c.w, u, v, a.g, k)
	o := c.w.Core(k.Rows, k.Cols)
	manifold.MSign(c.w, k, u.rank, v.rank, manifold.SignTol[T](), r.Projections, o)
	rate, root := c.rate()*r.LRScaling.ofSign(c.out, c.in, c.r)/c.scale, math.Sqrt(c.keep())

	// ΔB = D·A⁺ takes the columns of D within the rows of A, ΔA = B⁺·D the rest of its rows within the columns of B.
	left := c.w.Core(k.Rows, c.r)
	dense.Mul(1, o.Block(0, 0, k.Rows, v.rank), v.inverse.T().Block(0, 0, v.rank, c.r), 0, left)
	dense.MulCore(c.w, u.basis, left, b.g)
	right := c.w.Core(k.Cols-v.rank, c.r)
	dense.Mul(1, o.Block(0, v.rank, u.rank, k.Cols-v.rank).T(), u.inverse.T().Block(0, 0, u.rank, c.r), 0, right)
	dense.MulCore(c.w, v.basis.Columns(v.rank, k.Cols), right, a.g)
	a.move(root, rate, a.g)
	b.move(root, rate, b.g)
	if r.Rebalance > 0 && c.steps()%int64(r.Rebalance) == 0 {
		rebalance(&a, &b)
	}
	return nil
}

// span is a side with the directions of the tangent vector outside of it.
type span[T dense.Float] struct {
	side[T]
	basis       dense.Mat[T] // orthonormal: rank columns of q and the further directions
	room        dense.Mat[T] // that basis is part of
	coordinates dense.Core   // of the tangent vector in the further directions
}

func newSpan[T dense.Float](w *dense.Workspace[T], y dense.Mat[T]) span[T] {
	s := span[T]{side: newSide(w, y), room: w.Mat(y.Rows, 2*y.Cols)}
	s.basis = s.room.Columns(0, s.rank)
	dense.Copy(s.basis, s.q.Columns(0, s.rank))
	return s
}

// extend adds the directions of y outside the side.
func (s *span[T]) extend(w *dense.Workspace[T], y dense.Mat[T]) {
	further := s.room.Columns(s.rank, s.rank+y.Cols)
	dense.Copy(further, y)
	s.coordinates = w.Core(y.Cols, y.Cols)
	k := dense.Complement(w, s.basis, further, s.coordinates)
	s.basis = s.room.Columns(0, s.rank+k)
}

// tangentCore writes the core of the tangent vector M to k, given Mᵀ·U.
func tangentCore[T dense.Float](w *dense.Workspace[T], u, v span[T], mtu dense.Mat[T], k dense.Core) {
	defer w.Release(w.Mark())
	ku, kv := k.Rows-u.rank, k.Cols-v.rank
	inside := w.Mat(u.rank, v.rank)
	dense.Mul(1, mtu.Columns(0, u.rank).T(), v.basis.Columns(0, v.rank), 0, inside)
	dense.Copy(k.Block(0, 0, u.rank, v.rank), inside)
	dense.Copy(k.Block(0, v.rank, u.rank, kv), v.coordinates.Block(0, 0, kv, u.rank).T())
	dense.Copy(k.Block(u.rank, 0, ku, v.rank), u.coordinates.Block(0, 0, ku, v.rank))
}

// rebalance makes the factors equally long; their momenta change as their gradients do.
func rebalance[T dense.Float](a, b *factor[T]) {
	lengthA, lengthB := dense.Norm(a.tall), dense.Norm(b.tall)
	if lengthA == 0 || lengthB == 0 {
		return
	}
	c := math.Sqrt(lengthA / lengthB)
	b.multiply(c)
	a.multiply(1 / c)
}

// multiply multiplies the factor by c and its momentum by 1/c.
func (f *factor[T]) multiply(c float64) {
	for i := range f.tall.Data {
		f.tall.Data[i] *= T(c)
		f.m.Data[i] /= T(c)
	}
	dense.Copy(f.values, f.tall)
	dense.Copy(f.momentum, f.m)
}
