package adapters

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
)

// oloraInit starts with orthonormal columns (Büyükakyüz: OLoRA, 2024, as PEFT defines it): B holds the first columns of Q and A the
// first rows of R in the decomposition W = Q·R. The first columns of Q depend on the first columns of W alone, so that the cost is
// O(out·in·rank).
func oloraInit(x *initInput) error {
	w := x.matrix().RawMatrix()
	q := orthonormal(mat.DenseCopyOf(mat.NewDense(x.out, x.in, w.Data).Slice(0, x.out, 0, x.rank)).RawMatrix())
	r := mat.NewDense(x.rank, x.in, nil).RawMatrix()
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, q, w, 0, r)
	for k := range x.rank {
		for j := k; j < x.in; j++ { // R is triangular
			x.a[k*x.in+j] = float32(r.Data[k*x.in+j])
		}
	}
	for i, v := range q.Data {
		x.b[i] = float32(v)
	}
	return nil
}

// orthonormal overwrites a tall matrix with the factor Q of its thin QR decomposition.
func orthonormal(m blas64.General) blas64.General {
	tau := make([]float64, m.Cols)
	size := make([]float64, 1)
	lapack64.Geqrf(m, tau, size, -1)
	work := make([]float64, int(size[0]))
	lapack64.Geqrf(m, tau, work, len(work))
	lapack64.Orgqr(m, tau, size, -1)
	work = make([]float64, int(size[0]))
	lapack64.Orgqr(m, tau, work, len(work))
	return m
}
