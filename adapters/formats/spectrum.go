package formats

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Spectrum returns the singular values of X = scale·B·A in descending order, as many as the factors have rank, without forming X:
// with the QR decompositions B = Qb·Rb and Aᵀ = Qa·Ra they are those of the small matrix Rb·Raᵀ. The cost is O((in+out)·r²).
func (y *Layer) Spectrum() ([]float64, error) {
	_, in, err := y.A.matrix()
	if err != nil {
		return nil, err
	}
	out, r, err := y.B.matrix()
	if err != nil {
		return nil, err
	}
	rb := upper(y.B.Values, out, r, r, 1)
	ra := upper(y.A.Values, in, r, 1, in)
	var core mat.Dense
	core.Mul(rb, ra.T())
	core.Scale(float64(y.Scale), &core)
	var svd mat.SVD
	if !svd.Factorize(&core, mat.SVDNone) {
		return nil, errors.New("singular values do not converge; the factors may hold NaN or infinities")
	}
	return svd.Values(nil), nil
}

// upper returns the triangular factor of the rows×cols matrix whose element (i,j) is values[i*rowStride+j*colStride]; a wide matrix
// is its own factor.
func upper(values []float32, rows, cols, rowStride, colStride int) mat.Matrix {
	m := mat.NewDense(rows, cols, nil)
	for i := range rows {
		for j := range cols {
			m.Set(i, j, float64(values[i*rowStride+j*colStride]))
		}
	}
	if rows <= cols {
		return m
	}
	var qr mat.QR
	qr.Factorize(m)
	var r mat.Dense
	qr.RTo(&r)
	return r.Slice(0, cols, 0, cols)
}

// norm returns the Euclidean norm.
func norm(values []float32) float64 {
	var sum float64
	for _, v := range values {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}
