package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

func init() {
	Register("lora-pro-thin-adam", func() Rule {
		return &LoRAProThinAdam{FixedRank: newFixedRank(1), Betas: [2]float64{0.9, 0.999}, Eps: 1e-8}
	})
}

// LoRAProThinAdam is the Adam form of LoRA-Pro (Wang et al. 2024, arXiv 2407.18242) without its dense moments. There, Adam acts on the
// elements of the gradient that the factors can follow, out×in of them, and the factors follow its direction. Here the average of that
// gradient is a tangent vector that moves along with X, and the second moment is the product of its row and column means, as in
// Adafactor (Shazeer and Stern 2018, arXiv 1804.04235), so that all is done on thin matrices. With the Riemannian gradient ξ = P_T(G),
// learning rate η and decay γ:
//
//	M ← β₁·M + (1-β₁)·ξ
//	R ← β₂·R + (1-β₂)·(means of the rows of ξ²),   C ← β₂·C + (1-β₂)·(means of its columns)
//	D = P_T(M̂ᵢⱼ / √(R̂ᵢ·Ĉⱼ/mean(R̂)))
//	X ← SVD_r((1-ηγ)·X - η·D),   M ← P_T(M) at the new X
//
// with M̂, R̂, Ĉ corrected for their start. LoRA-Pro's own form and this one agree where the squares of ξ have rank one.
//
// State: (out+in)·(r+1) values, about half of Adam's. Cost: about 60·(out+in)·r² + 10³·r³ operations. Invariances: any change of basis
// of the factors, momentum, decay and clipping included; the scale of the loss; transposition of X.
type LoRAProThinAdam struct {
	FixedRank
	// Betas are the decay rates β₁, β₂; default 0.9 and 0.999.
	Betas [2]float64 `yaml:"betas"`
	// Eps bounds row and column means from below, relative to their mean; default 1e-8.
	Eps float64 `yaml:"eps"`
}

// Defaults returns learning rate 2e-4 and no decay.
func (*LoRAProThinAdam) Defaults() Hyper { return Hyper{LR: 2e-4} }

// Validate checks the settings.
func (r *LoRAProThinAdam) Validate() error {
	switch err := r.FixedRank.Validate(); {
	case err != nil:
		return fmt.Errorf("lora-pro-thin-adam: %w", err)
	case r.LRScaling != LRScalingNone:
		return fmt.Errorf("lora-pro-thin-adam: lr_scaling %s; elements move as under AdamW already, leave it out", r.LRScaling)
	case !(r.Eps >= 0) || math.IsInf(r.Eps, 1):
		return fmt.Errorf("lora-pro-thin-adam: eps %v; it must be finite and not negative", r.Eps)
	}
	a := AdamW{Betas: r.Betas}
	if err := a.Validate(); err != nil {
		return fmt.Errorf("lora-pro-thin-adam: %w", err)
	}
	return nil
}

// The means of the squares of rows and columns of the Riemannian gradient in a LowRank point's state.
const (
	rowSquares    = "row_squares"
	columnSquares = "column_squares"
)

// Init brings p into the canonical gauge and returns zero moments.
func (r *LoRAProThinAdam) Init(p Point) (*State, error) {
	s, err := r.FixedRank.Init(p)
	if x, ok := p.(*LowRank); ok && err == nil {
		out, in, _ := x.size()
		s.Buffers[rowSquares], s.Buffers[columnSquares] = make([]float32, out), make([]float32, in)
	}
	return s, err
}

// Step moves p by one step.
func (r *LoRAProThinAdam) Step(p Point, s *State, h Hyper) error {
	return movePair(r, &r.Rest, p, s, h, stepLoRAProThinAdam[float32])
}

func stepLoRAProThinAdam[T dense.Float](r *LoRAProThinAdam, c pairStep[T]) error {
	m := c.motion()
	mix(r.Betas[0], m.momentum, 1-r.Betas[0], m.gradient)
	rows, columns := c.buffers[rowSquares], c.buffers[columnSquares]
	left, right := m.joined(m.gradient)
	averageSquares(c.w, left, right, r.Betas[1], rows)
	averageSquares(c.w, right, left, r.Betas[1], columns)
	t := float64(c.steps())
	mean := meanOf(rows)
	left, right = m.joined(m.momentum)
	divideRows(left, rows, mean*r.Eps)
	divideRows(right, columns, mean*r.Eps)
	d := manifold.NewTangent(c.w, c.out, c.in, c.r)
	manifold.ProjectFactors(c.w, m.x, left, right, d)
	// √(R̂·Ĉ/mean(R̂)) lacks the mean, and three corrections make one.
	divisor := (1 - math.Pow(r.Betas[0], t)) / math.Sqrt(mean*(1-math.Pow(r.Betas[1], t)))
	if mean == 0 {
		divisor = 1
	}
	m.finish(&d, manifold.Step{Rate: c.rate(), Keep: c.keep(), DivideA: divisor, DivideB: divisor})
	return nil
}

// joined returns ξ = left·rightᵀ for left = [A U] and right = [V B].
func (m motion[T]) joined(xi manifold.Tangent[T]) (left, right dense.Mat[T]) {
	left, right = m.w.Mat(m.out, 2*m.r), m.w.Mat(m.in, 2*m.r)
	dense.Copy(left.Columns(0, m.r), xi.A)
	dense.Copy(left.Columns(m.r, 2*m.r), m.x.U)
	dense.Copy(right.Columns(0, m.r), m.x.V)
	dense.Copy(right.Columns(m.r, 2*m.r), xi.B)
	return left, right
}

// averageSquares replaces means by decay·means + (1-decay)·(means of the squares of the rows of left·rightᵀ).
func averageSquares[T dense.Float](w *dense.Workspace[T], left, right dense.Mat[T], decay float64, means []T) {
	defer w.Release(w.Mark())
	gram, seen := w.Core(right.Cols, right.Cols), w.Mat(left.Rows, left.Cols)
	dense.Gram(w, right, gram)
	dense.MulCore(w, left, gram, seen)
	for i := range means {
		var sum float64
		for j := range left.Cols {
			sum += float64(float64(left.At(i, j)) * float64(seen.At(i, j)))
		}
		sum = max(0, sum) / float64(right.Rows)
		means[i] = T(decay*float64(means[i])) + T((1-decay)*sum)
	}
}

func meanOf[T dense.Float](x []T) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}

// divideRows divides the rows of y by the square roots of squares, of which those that are not larger than floor count as floor.
func divideRows[T dense.Float](y dense.Mat[T], squares []T, floor float64) {
	for i, s := range squares {
		root := math.Sqrt(max(float64(s), floor))
		if root == 0 {
			root = 1
		}
		for j := range y.Cols {
			y.Set(i, j, T(float64(y.At(i, j))/root))
		}
	}
}
