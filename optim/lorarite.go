package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
)

func init() {
	Register("lora-rite", func() Rule {
		return &LoRARITE{FactorRule: newFactorRule(0.9, 1), Beta2: 0.999}
	})
}

// LoRARITE is LoRA-RITE (Yen et al. 2024, arXiv 2410.20625): Adam with a second moment of r×r for each factor, in the orthonormal basis
// that the other factor spans. With A = R_A·U_Aᵀ and B = U_B·R_B, learning rate η, decay λ, for B (m×r) and likewise for A:
//
//	ḡ = ∂B·R_A⁻¹                                         the gradient in the basis U_A
//	V ← β₂'·V + (1-β₂')·ḡᵀḡ/m
//	M ← β₁'·M + (1-β₁')·ḡ·V^-½
//	B ← (1-ηλ)·B - η·M·R_A⁻ᵀ
//	V ← P·V·Pᵀ, M ← M·Pᵀ                                 with P = U_A,newᵀ·U_A
//
// where β' = β·(1-βᵗ⁻¹)/(1-βᵗ). Both factors move from where they were before the step. Left out are the published code's clipping, which
// Config.ClipGradNorm does for the run, and its escaped mass, which is off there by default. Inverses are pseudo-inverses: where B is
// 0, A rests.
//
// State: one value an element and 2·r², about half of Adam's. Cost: about 30·(out+in)·r² operations. Invariances: any change of basis of
// the factors, moments and decay included; the scale of the loss.
type LoRARITE struct {
	FactorRule
	// Beta2 is the decay rate of the second moments; default 0.999. Momentum is β₁.
	Beta2 float64 `yaml:"beta2"`
}

// Defaults returns learning rate 5e-4 and decay 1e-4, those of Table 4 of arXiv 2507.12142.
func (*LoRARITE) Defaults() Hyper { return Hyper{LR: 5e-4, WeightDecay: 1e-4} }

// Validate checks the settings.
func (r *LoRARITE) Validate() error {
	if err := r.FactorRule.Validate(); err != nil {
		return fmt.Errorf("lora-rite: %w", err)
	}
	if !(0 <= r.Beta2 && r.Beta2 < 1) {
		return fmt.Errorf("lora-rite: beta2 %v; it must be at least 0 and less than 1", r.Beta2)
	}
	return nil
}

// The second moments of the factors in a LowRank point's state, r×r.
const (
	secondA = "second_a"
	secondB = "second_b"
)

// Init returns zero moments.
func (r *LoRARITE) Init(p Point) (*State, error) {
	s, err := r.FactorRule.Init(p)
	if x, ok := p.(*LowRank); ok && err == nil {
		if err := x.pair().checkRank(); err != nil {
			return nil, err
		}
		_, _, rank := x.size()
		s.Buffers[secondA], s.Buffers[secondB] = make([]float32, rank*rank), make([]float32, rank*rank)
	}
	return s, err
}

// SquaredNorm returns the squared length of the Riemannian gradient.
func (r *LoRARITE) SquaredNorm(p Point, _ *State) float64 { return riemannianSquaredNorm(p) }

// Step moves p by one step.
func (r *LoRARITE) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepLoRARITE[float32])
}

func stepLoRARITE[T dense.Float](r *LoRARITE, c pairStep[T]) error {
	a, b := c.factors()
	before := struct{ a, b side[T] }{newSide(c.w, a.tall), newSide(c.w, b.tall)}
	secondOfA, secondOfB := dense.Of(c.buffers[secondA], c.r, c.r), dense.Of(c.buffers[secondB], c.r, c.r)
	for _, side := range []struct {
		*factor[T]
		second  dense.Mat[T]
		inverse dense.Core // of the other factor
	}{{&a, secondOfA, before.b.inverse}, {&b, secondOfB, before.a.inverse}} {
		normaliseRITE(r, c, side.factor, side.second, side.inverse)
		d := c.w.Mat(side.g.Rows, c.r)
		dense.MulCore(c.w, side.m, side.inverse.T(), d)
		side.move(c.keep(), c.rate(), d)
	}
	carry(c.w, &a, secondOfA, before.b.q, b.tall)
	carry(c.w, &b, secondOfB, before.a.q, a.tall)
	return nil
}

// normaliseRITE brings the moments of a factor up to date.
func normaliseRITE[T dense.Float](r *LoRARITE, c pairStep[T], f *factor[T], v dense.Mat[T], inverse dense.Core) {
	defer c.w.Release(c.w.Mark())
	k := f.g.Cols
	g, gram := c.w.Mat(f.g.Rows, k), c.w.Core(k, k)
	dense.MulCore(c.w, f.g, inverse, g)
	dense.Gram(c.w, g, gram)
	beta := corrected(r.Beta2, c.steps())
	for i := range k {
		for j := range k {
			gram.Set(i, j, float64(beta*float64(v.At(i, j)))+float64((1-beta)*gram.At(i, j))/float64(g.Rows))
		}
	}
	dense.Copy(v, gram)
	symmetricPower(c.w, gram, riteTol, -0.5, gram)
	dense.MulCore(c.w, g, gram, f.g)
	beta = corrected(r.Momentum, c.steps())
	f.average(beta, 1-beta, f.g)
}

// corrected is β·(1-βᵗ⁻¹)/(1-βᵗ): an average with it, from 0, is Adam's with its start corrected.
func corrected(beta float64, t int64) float64 {
	return beta * (1 - math.Pow(beta, float64(t-1))) / (1 - math.Pow(beta, float64(t)))
}

// riteTol is the relative eigenvalue of a second moment below which a direction counts as never seen.
const riteTol = 1e-10

// carry takes the moments of f from the basis of the other factor before the step to that after it.
func carry[T dense.Float](w *dense.Workspace[T], f *factor[T], v, before, other dense.Mat[T]) {
	defer w.Release(w.Mark())
	k := v.Rows
	after, _, _ := tallQR(w, other)
	p, half, moved := w.Mat(k, k), w.Mat(k, k), w.Mat(f.m.Rows, k)
	dense.Mul(1, after.T(), before, 0, p)
	dense.Mul(1, p, v, 0, half)
	dense.Mul(1, half, p.T(), 0, v)
	dense.Mul(1, f.m, p.T(), 0, moved)
	dense.Copy(f.momentum, moved)
}
