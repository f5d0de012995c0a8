package adapters

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
)

// pissaInit starts at the principal part of the weight (Meng, Wang, Zhang: PiSSA, 2024, as PEFT defines it): with the truncated SVD
// W ≈ U·diag(s)·Vᵀ of the given rank, A = √(s/scale)·Vᵀ and B = U·√(s/scale). The SVD costs O(out·in·min(out,in)).
func pissaInit(x *initInput) error {
	if err := x.fits("pissa"); err != nil {
		return err
	}
	if x.scale <= 0 {
		return errors.New("init pissa needs a positive alpha")
	}
	var svd mat.SVD
	if !svd.Factorize(x.dense(), mat.SVDThin) {
		return errors.New("init pissa: the singular values of the weight do not converge; does it hold NaN?")
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	for k, s := range svd.Values(nil)[:x.rank] {
		root := math.Sqrt(s / float64(x.scale))
		for j := range x.in {
			x.a[k*x.in+j] = float32(root * v.At(j, k))
		}
		for i := range x.out {
			x.b[i*x.rank+k] = float32(root * u.At(i, k))
		}
	}
	return nil
}
