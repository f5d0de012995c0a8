package cpu

import "fmt"

// Gemm computes c = alpha*a*b + beta*c for matrices with any strides. With beta == 0 it only writes c, which may hold NaN before. c
// must not overlap a or b. Cost: 2*m*n*k operations, split over threads when that pays.
func Gemm(alpha float32, a, b Mat, beta float32, c Mat) {
	checkProduct(a, b.Rows, b.Cols, c)
	b.check("b")
	mulRows{alpha, a, b, beta, c}.start()
}

// GemmBatch computes n independent products; the operands of each are sa, sb and sc elements after those of the one before. A stride
// of 0 uses the same a or b for all.
func GemmBatch(n int, alpha float32, a, b Mat, beta float32, c Mat, sa, sb, sc int) {
	for i := range n {
		Gemm(alpha, a.shift(i*sa), b.shift(i*sb), beta, c.shift(i*sc))
	}
}

func checkProduct(a Mat, bRows, bCols int, c Mat) {
	if a.Cols != bRows || a.Rows != c.Rows || bCols != c.Cols {
		panic(fmt.Sprintf("cpu: product of %dx%d and %dx%d into %dx%d", a.Rows, a.Cols, bRows, bCols, c.Rows, c.Cols))
	}
	a.check("a")
	c.check("c")
}

// shift returns the view n elements further on.
func (m Mat) shift(n int) Mat {
	if m.Rows > 0 && m.Cols > 0 {
		m.Data = m.Data[n:]
	}
	return m
}

// mulRows computes rows of a product.
type mulRows struct {
	alpha float32
	a, b  Mat
	beta  float32
	c     Mat
}

func (g mulRows) start() {
	Parallel(g.c.Rows, max(1, 32768/max(1, g.b.Rows*g.b.Cols)), g.run)
}

func (g mulRows) run(lo, hi int) {
	for i := lo; i < hi; i++ {
		for j := range g.c.Cols {
			if at := i*g.c.RS + j*g.c.CS; g.beta == 0 {
				g.c.Data[at] = 0
			} else {
				g.c.Data[at] *= g.beta
			}
		}
		for p := range g.a.Cols {
			x := g.alpha * g.a.Data[i*g.a.RS+p*g.a.CS]
			if g.b.CS == 1 && g.c.CS == 1 && g.c.Cols > 0 {
				Axpy(x, g.b.Data[p*g.b.RS:][:g.c.Cols], g.c.Data[i*g.c.RS:][:g.c.Cols])
				continue
			}
			for j := range g.c.Cols {
				g.c.Data[i*g.c.RS+j*g.c.CS] += x * g.b.Data[p*g.b.RS+j*g.b.CS]
			}
		}
	}
}
