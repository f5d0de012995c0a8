// Package blas offers the kernels of package cpu through gonum's BLAS interfaces:
//
//	blas32.Use(blas.Implementation{})
//
// The rest of a program that calls gonum, or Gorgonia, then computes its float32 products with them.
package blas

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Implementation is gonum's BLAS with the float32 routines that matter to neural networks replaced. Gonum still refuses bad arguments:
// calls that are not valid go to it, and so do vectors with increments other than 1 in level 1.
//
// Unlike gonum, Sgemm and Sgemv do not skip zeros in a, so a NaN or Inf in the other operand always shows, and with alpha == 0 they read
// neither operand, as the BLAS standard says.
type Implementation struct{ gonum.Implementation }

// Sgemm computes c = alpha * op(a) * op(b) + beta * c.
func (impl Implementation) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	x, okA := operand(tA, m, k, a, lda)
	y, okB := operand(tB, k, n, b, ldb)
	z, okC := operand(blas.NoTrans, m, n, c, ldc)
	if !okA || !okB || !okC {
		impl.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	cpu.Gemm(alpha, x, y, beta, z)
}

// Sgemv computes y = alpha * op(a) * x + beta * y for a stored as m x n.
func (impl Implementation) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	lenX, lenY := n, m
	if tA != blas.NoTrans {
		lenX, lenY = m, n
	}
	w, okA := operand(tA, lenY, lenX, a, lda)
	u, okX := column(lenX, x, incX)
	v, okY := column(lenY, y, incY)
	if !okA || !okX || !okY {
		impl.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	cpu.Gemm(alpha, w, u, beta, v)
	if incY < 0 { // v is a copy
		for i, value := range v.Data {
			y[(i+1-lenY)*incY] = value
		}
	}
}

// Sger computes a += alpha * x * yᵀ for a stored as m x n.
func (impl Implementation) Sger(m, n int, alpha float32, x []float32, incX int, y []float32, incY int, a []float32, lda int) {
	w, okA := operand(blas.NoTrans, m, n, a, lda)
	u, okX := column(m, x, incX)
	v, okY := column(n, y, incY)
	if !okA || !okX || !okY || alpha == 0 {
		impl.Implementation.Sger(m, n, alpha, x, incX, y, incY, a, lda)
		return
	}
	cpu.Gemm(alpha, u, v.T(), 1, w)
}

// Sdot returns Σ x[i]*y[i].
func (impl Implementation) Sdot(n int, x []float32, incX int, y []float32, incY int) float32 {
	if !contiguous(n, x, incX) || !contiguous(n, y, incY) {
		return impl.Implementation.Sdot(n, x, incX, y, incY)
	}
	return cpu.Dot(x[:n], y[:n])
}

// Saxpy computes y[i] += alpha * x[i].
func (impl Implementation) Saxpy(n int, alpha float32, x []float32, incX int, y []float32, incY int) {
	if !contiguous(n, x, incX) || !contiguous(n, y, incY) || alpha == 0 {
		impl.Implementation.Saxpy(n, alpha, x, incX, y, incY)
		return
	}
	cpu.Axpy(alpha, x[:n], y[:n])
}

// Sscal computes x[i] *= alpha; with alpha == 0 it clears x, whatever it holds.
func (impl Implementation) Sscal(n int, alpha float32, x []float32, incX int) {
	if !contiguous(n, x, incX) || alpha == 0 {
		impl.Implementation.Sscal(n, alpha, x, incX)
		return
	}
	cpu.Scale(x[:n], alpha)
}

// Snrm2 returns √Σ x[i]². Where the sum of squares leaves the comfortable range of float32, gonum's scaled sum takes over.
func (impl Implementation) Snrm2(n int, x []float32, incX int) float32 {
	if contiguous(n, x, incX) {
		if s := cpu.Dot(x[:n], x[:n]); s > 0x1p-100 && s < 0x1p127 {
			return float32(math.Sqrt(float64(s)))
		}
	}
	return impl.Implementation.Snrm2(n, x, incX)
}

// operand returns op(m), which has rows x cols elements, and whether the arguments are valid and not empty.
func operand(t blas.Transpose, rows, cols int, data []float32, ld int) (cpu.Mat, bool) {
	switch t {
	case blas.NoTrans:
		m := cpu.Mat{Data: data, Rows: rows, Cols: cols, RS: ld, CS: 1}
		return m, rows > 0 && cols > 0 && ld >= cols && len(data) >= (rows-1)*ld+cols
	case blas.Trans, blas.ConjTrans:
		m, ok := operand(blas.NoTrans, cols, rows, data, ld)
		return m.T(), ok
	}
	return cpu.Mat{}, false
}

// column returns a vector as a matrix of one column, a copy if it is stored in reverse, and whether the arguments are valid and not empty.
func column(n int, data []float32, inc int) (cpu.Mat, bool) {
	if n <= 0 || inc == 0 || len(data) <= (n-1)*max(inc, -inc) {
		return cpu.Mat{}, false
	}
	if inc < 0 {
		forward := make([]float32, n)
		for i := range forward {
			forward[i] = data[(i+1-n)*inc]
		}
		data, inc = forward, 1
	}
	return cpu.Mat{Data: data, Rows: n, Cols: 1, RS: inc, CS: 1}, true
}

func contiguous(n int, data []float32, inc int) bool { return n > 0 && inc == 1 && len(data) >= n }
