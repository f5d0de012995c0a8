package adapters

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

// loiInit starts at the locally optimal point of arXiv 2507.12142: X0 = alpha·U₁·V₂ᵀ with alpha = scale/√rank. As in the paper's
// Algorithm 5, B has orthonormal columns and A carries alpha; rules on the manifold bring the pair into a form of their own.
func loiInit(x *initInput, d manifold.SVD[float32]) {
	p := manifold.LocallyOptimal(d, x.rank, x.settings.Scale/math.Sqrt(float64(x.rank)))
	a, b := x.factors()
	dense.Copy(b, p.U)
	for k, s := range p.S {
		for j := range x.in {
			a.Set(k, j, float32(s/float64(x.scale)*float64(p.V.At(j, k))))
		}
	}
}

// loraGAInit is LoRA-GA (Wang, Yu, Li 2024) with PEFT's defaults, direction ArB2r and stable scaling: A = V₁ᵀ,
// B = U₂·Σ₂·out^¼/√gamma.
func loraGAInit(x *initInput, d manifold.SVD[float32]) {
	r := x.rank
	a, b := x.factors()
	dense.Copy(a, d.V.Columns(0, r).T())
	factors := make([]float64, r)
	for k := range factors {
		factors[k] = d.S[r+k] * math.Pow(float64(x.out), 0.25) / math.Sqrt(x.settings.Gamma)
	}
	dense.ScaleColumns(b, d.U.Columns(r, 2*r), factors)
}

// loraOneInit is LoRA-One (Zhang, Liu, Chen 2025) as its authors' code has it: with the decomposition of the negative gradient, B =
// U₁·√(Σ₁/σ₁)/√gamma and A the same of V₁ᵀ. Nothing makes up for it: the model takes one step. It is meant with use_rslora.
func loraOneInit(x *initInput, d manifold.SVD[float32]) {
	r := x.rank
	a, b := x.factors()
	left, right := make([]float64, r), make([]float64, r)
	for k := range r {
		right[k] = math.Sqrt(d.S[k] / d.S[0] / x.settings.Gamma)
		left[k] = -right[k]
	}
	dense.ScaleColumns(b, d.U.Columns(0, r), left)
	rows := dense.New[float32](x.in, r)
	dense.ScaleColumns(rows, d.V.Columns(0, r), right)
	dense.Copy(a, rows.T())
}
