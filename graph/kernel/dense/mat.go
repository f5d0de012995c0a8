package dense

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Float is the element type of tall-skinny matrices.
type Float interface{ float32 | float64 }

// Mat is a strided matrix view: element (i,j) is Data[i*RS+j*CS].
type Mat[T Float] struct {
	Data       []T
	Rows, Cols int
	RS, CS     int
}

// Core is a small matrix, always in float64.
type Core = Mat[float64]

// New returns a zero matrix with contiguous rows.
func New[T Float](rows, cols int) Mat[T] { return Of(make([]T, rows*cols), rows, cols) }

// Of returns the row-major matrix over data.
func Of[T Float](data []T, rows, cols int) Mat[T] {
	return Mat[T]{Data: data[:rows*cols], Rows: rows, Cols: cols, RS: cols, CS: 1}
}

// T returns the transpose, a view of the same memory.
func (m Mat[T]) T() Mat[T] { return Mat[T]{m.Data, m.Cols, m.Rows, m.CS, m.RS} }

// At returns element (i,j).
func (m Mat[T]) At(i, j int) T { return m.Data[i*m.RS+j*m.CS] }

// Set changes element (i,j).
func (m Mat[T]) Set(i, j int, v T) { m.Data[i*m.RS+j*m.CS] = v }

// Block returns the view of rows×cols elements whose first element is (i,j).
func (m Mat[T]) Block(i, j, rows, cols int) Mat[T] {
	if i < 0 || j < 0 || rows < 0 || cols < 0 || i+rows > m.Rows || j+cols > m.Cols {
		panic("dense: block outside of its matrix")
	}
	b := Mat[T]{Rows: rows, Cols: cols, RS: m.RS, CS: m.CS}
	if rows > 0 && cols > 0 {
		b.Data = m.Data[i*m.RS+j*m.CS:]
	}
	return b
}

// Columns returns the view of the columns [from, to).
func (m Mat[T]) Columns(from, to int) Mat[T] { return m.Block(0, from, m.Rows, to-from) }

// row returns row i of a matrix whose rows are contiguous.
func (m Mat[T]) row(i int) []T {
	if m.Cols == 0 {
		return nil
	}
	return m.Data[i*m.RS:][:m.Cols]
}

// Copy copies src, of any element type, into dst of the same shape.
func Copy[D, S Float](dst Mat[D], src Mat[S]) {
	sameShape(dst.Rows, dst.Cols, src.Rows, src.Cols)
	if dst.Cols == 0 {
		return
	}
	for i := range dst.Rows {
		to, from := dst.Data[i*dst.RS:], src.Data[i*src.RS:]
		if dst.CS == 1 && src.CS == 1 {
			from = from[:dst.Cols]
			to = to[:len(from)]
			if same, ok := any(from).([]D); ok {
				copy(to, same)
				continue
			}
			for j, v := range from {
				to[j] = D(v)
			}
			continue
		}
		for j := range dst.Cols {
			to[j*dst.CS] = D(from[j*src.CS])
		}
	}
}

// Zero clears m.
func Zero[T Float](m Mat[T]) {
	for i := range m.Rows {
		for j := range m.Cols {
			m.Set(i, j, 0)
		}
	}
}

// SquaredNorm returns the sum of the squares of the elements of m, in float64.
func SquaredNorm[T Float](m Mat[T]) float64 {
	if m.CS != 1 && m.RS == 1 {
		m = m.T()
	}
	if m.CS == 1 && m.RS == m.Cols {
		return squares(m.Data[:m.Rows*m.Cols])
	}
	var sum float64
	for i := range m.Rows {
		if m.CS == 1 {
			sum += squares(m.row(i))
			continue
		}
		for j := range m.Cols {
			v := float64(m.At(i, j))
			sum += float64(v * v)
		}
	}
	return sum
}

// squares returns the sum of the squares of x.
func squares[T Float](x []T) float64 {
	if x, single := any(x).([]float32); single {
		return cpu.SumSquares(x)
	}
	wide := any(x).([]float64)
	return cpu.Dot64(wide, wide)
}

// ColumnNorms writes the lengths of the columns of m, whose rows are contiguous, to norms.
func ColumnNorms[T Float](m Mat[T], norms []float64) {
	clear(norms)
	norms = norms[:m.Cols]
	for i := range m.Rows {
		for j, v := range m.row(i) {
			norms[j] += float64(float64(v) * float64(v))
		}
	}
	for j, v := range norms {
		norms[j] = math.Sqrt(v)
	}
}

// ScaleColumns writes the columns of m times factors to dst; both have contiguous rows, and dst may be m.
func ScaleColumns[T Float](dst, m Mat[T], factors []float64) {
	sameShape(dst.Rows, dst.Cols, m.Rows, m.Cols)
	factors = factors[:m.Cols]
	for i := range m.Rows {
		to := dst.row(i)
		for j, v := range m.row(i) {
			to[j] = T(float64(v) * factors[j])
		}
	}
}

// Norm returns the Frobenius norm of m.
func Norm[T Float](m Mat[T]) float64 { return math.Sqrt(SquaredNorm(m)) }

// Inner returns the sum of the products of corresponding elements, in float64.
func Inner[T Float](a, b Mat[T]) float64 {
	sameShape(a.Rows, a.Cols, b.Rows, b.Cols)
	var sum float64
	for i := range a.Rows {
		for j := range a.Cols {
			sum += float64(float64(a.Data[i*a.RS+j*a.CS]) * float64(b.Data[i*b.RS+j*b.CS]))
		}
	}
	return sum
}

// Mul computes c = alpha·a·b + beta·c. c must not overlap a or b; with beta 0 it is only written. Cost: 2·rows·cols·inner operations,
// on the matrix kernels of package cpu in float32 and in plain loops in float64.
func Mul[T Float](alpha T, a, b Mat[T], beta T, c Mat[T]) {
	if a.Cols != b.Rows || a.Rows != c.Rows || b.Cols != c.Cols {
		panic("dense: shapes of a product do not fit together")
	}
	switch c := any(c).(type) {
	case Mat[float32]:
		cpu.Gemm(float32(alpha), cpu.Mat(any(a).(Mat[float32])), cpu.Mat(any(b).(Mat[float32])), float32(beta), cpu.Mat(c))
	case Mat[float64]:
		mul64(float64(alpha), any(a).(Mat[float64]), any(b).(Mat[float64]), float64(beta), c)
	}
}

// mul64 is Mul in float64; the innermost loop runs along rows of b and c.
func mul64(alpha float64, a, b Core, beta float64, c Core) {
	for i := range c.Rows {
		for j := range c.Cols {
			if p := &c.Data[i*c.RS+j*c.CS]; beta == 0 {
				*p = 0
			} else {
				*p *= beta
			}
		}
		for k := range a.Cols {
			s := alpha * a.Data[i*a.RS+k*a.CS]
			if b.CS == 1 && c.CS == 1 {
				cpu.Axpy64(s, b.row(k), c.row(i))
				continue
			}
			for j := range c.Cols {
				c.Data[i*c.RS+j*c.CS] += float64(s * b.Data[k*b.RS+j*b.CS])
			}
		}
	}
}

func sameShape(rows, cols, rows2, cols2 int) {
	if rows != rows2 || cols != cols2 {
		panic("dense: matrices of different shapes")
	}
}
