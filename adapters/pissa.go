package adapters

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// pissaInit starts at the principal part of the weight (Meng, Wang, Zhang: PiSSA, 2024, as PEFT defines it): with the truncated SVD
// W ≈ U·diag(s)·Vᵀ of the given rank, A = √(s/scale)·Vᵀ and B = U·√(s/scale). The SVD costs O(out·in·min(out,in)).
func pissaInit(x *initInput) error { return x.singular(0) }

// miloraInit starts at the least important part of the weight (Wang et al.: MiLoRA, 2024): as PiSSA, but with the smallest singular
// values.
func miloraInit(x *initInput) error { return x.singular(min(x.in, x.out) - x.rank) }

// singular splits the part of the weight that belongs to the singular values from the given one on evenly among the factors.
func (x *initInput) singular(from int) error {
	var svd mat.SVD
	if !svd.Factorize(x.matrix(), mat.SVDThin) {
		return fmt.Errorf("init %s: the singular values of the weight do not converge; does it hold NaN?", x.settings.Name)
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	for k, s := range svd.Values(nil)[from : from+x.rank] {
		root := math.Sqrt(s / float64(x.scale))
		for j := range x.in {
			x.a[k*x.in+j] = float32(root * v.At(j, from+k))
		}
		for i := range x.out {
			x.b[i*x.rank+k] = float32(root * u.At(i, from+k))
		}
	}
	return nil
}
