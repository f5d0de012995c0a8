package optimtest

import (
	"testing"

	"github.com/geotune/geotune/optim"
)

// scaledGD is scaled gradient descent on the factors of low-rank points (Tong et al. 2021; arXiv 2402.02347) with momentum:
//
//	M_A ← β·M_A + (BᵀB)⁻¹·∂A      A ← (1-ηλ)·A - η·M_A
//	M_B ← β·M_B + ∂B·(AAᵀ)⁻¹      B ← (1-ηλ)·B - η·M_B
//
// and SGD on everything else. Every term changes basis as the factor does, so that the path of B·A is invariant: the rule shows that
// the suite can confirm a general gauge group and that a rule can move whole points.
type scaledGD struct{ plain optim.SGD }

func (*scaledGD) Defaults() optim.Hyper { return optim.Hyper{LR: 0.1} }

func (*scaledGD) Split(p optim.Point) []optim.Point {
	if _, ok := p.(*optim.LowRank); ok {
		return []optim.Point{p}
	}
	return optim.PerTensor(p)
}

func (r *scaledGD) Init(p optim.Point) (*optim.State, error) {
	x, ok := p.(*optim.LowRank)
	if !ok {
		return r.plain.Init(p)
	}
	return &optim.State{Buffers: map[string][]float32{
		"momentum_a": make([]float32, x.A().Value.Len()), "momentum_b": make([]float32, x.B().Value.Len()),
	}}, nil
}

func (r *scaledGD) Step(p optim.Point, s *optim.State, h optim.Hyper) error {
	x, ok := p.(*optim.LowRank)
	if !ok {
		return r.plain.Step(p, s, h)
	}
	a, b := fromTensor(x.A().Value), fromTensor(x.B().Value)
	stepA := inverse(b.transpose().mul(b)).mul(fromTensor(x.A().Grad))
	stepB := fromTensor(x.B().Grad).mul(inverse(a.mul(a.transpose())))
	r.move(x.A(), s.Buffers["momentum_a"], stepA, h)
	r.move(x.B(), s.Buffers["momentum_b"], stepB, h)
	return nil
}

func (r *scaledGD) move(t optim.Tensor, momentum []float32, step matrix, h optim.Hyper) {
	cols := t.Value.Shape.Last()
	for i := range momentum {
		momentum[i] = float32(r.plain.Momentum)*momentum[i] + float32(step[i/cols][i%cols])
		t.Value.F32[i] = float32(1-h.LR*h.WeightDecay)*t.Value.F32[i] - float32(h.LR)*momentum[i]
	}
}

// inverse of a small positive semidefinite matrix by Gauss-Jordan elimination without pivoting, damped so that 0 has one.
func inverse(m matrix) matrix {
	n := len(m)
	left, right := m.scaled(1), zeros(n, n)
	for i := range n {
		left[i][i] += 1e-9
		right[i][i] = 1
	}
	for i := range n {
		pivot := left[i][i]
		for j := range n {
			left[i][j] /= pivot
			right[i][j] /= pivot
		}
		for k := range n {
			if factor := left[k][i]; k != i {
				for j := range n {
					left[k][j] -= factor * left[i][j]
					right[k][j] -= factor * right[i][j]
				}
			}
		}
	}
	return right
}

func TestScaledGradientDescentIsGaugeInvariantWithMomentum(t *testing.T) {
	Run(t, "scaled gradient descent", func() optim.Rule { return &scaledGD{optim.SGD{Momentum: 0.9}} },
		Laws{LR: 0.1, Gauge: General, Decay: L2})
}
