package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/gonum"
)

// trial draws the arguments of one call: mostly valid ones of all forms, now and then one that is not.
type trial struct{ *rand.Rand }

func (t trial) wrong() bool { return t.IntN(16) == 0 }

func (t trial) size() int {
	if t.wrong() {
		return []int{-1, 0}[t.IntN(2)]
	}
	return []int{1, 2, 3, 7, 16, 33, 65}[t.IntN(7)]
}

func (t trial) transpose() blas.Transpose {
	if t.wrong() {
		return 'x'
	}
	return []blas.Transpose{blas.NoTrans, blas.Trans, blas.ConjTrans}[t.IntN(3)]
}

func (t trial) scalar() float32 { return []float32{0, 1, -0.75}[t.IntN(3)] }

func (t trial) increment() int {
	if t.wrong() {
		return 0
	}
	return []int{1, 1, 1, 3, -1, -2}[t.IntN(6)]
}

// data returns values of which n are needed; NaN if nothing may read them.
func (t trial) data(n int, unread bool) []float32 {
	if t.wrong() {
		n--
	}
	x := make([]float32, max(n, 0)+t.IntN(2))
	for i := range x {
		x[i] = 2*t.Float32() - 1
		if unread {
			x[i] = float32(math.NaN())
		}
	}
	return x
}

func (t trial) vector(n, inc int, unread bool) []float32 {
	return t.data((n-1)*max(inc, -inc)+1, unread)
}

// matrix returns a matrix and its leading dimension.
func (t trial) matrix(tr blas.Transpose, rows, cols int, unread bool) ([]float32, int) {
	if tr != blas.NoTrans {
		rows, cols = cols, rows
	}
	ld := max(cols, 1)
	switch {
	case t.wrong():
		ld--
	case t.IntN(3) == 0:
		ld += 5
	}
	return t.data((rows-1)*ld+cols, unread), ld
}

// call is one call of a routine, here and in double precision by gonum, whose tests cover that form of its routines. Both get copies of
// the memory that the routine changes.
type call struct {
	args    string
	terms   int // of each sum
	changed []float32
	single  func(changed []float32) float32
	double  func(changed []float64) float64
}

var (
	ours   blas.Float32 = Implementation{}
	theirs blas.Float64 = gonum.Implementation{}
)

var routines = map[string]func(t trial) call{
	"gemm": func(t trial) call {
		tA, tB, m, n, k, alpha, beta := t.transpose(), t.transpose(), t.size(), t.size(), t.size(), t.scalar(), t.scalar()
		a, lda := t.matrix(tA, m, k, false)
		b, ldb := t.matrix(tB, k, n, false)
		c, ldc := t.matrix(blas.NoTrans, m, n, beta == 0)
		return call{
			fmt.Sprint(tA, tB, m, n, k, alpha, len(a), lda, len(b), ldb, beta, len(c), ldc), k, c,
			func(c []float32) float32 { ours.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc); return 0 },
			func(c []float64) float64 {
				theirs.Dgemm(tA, tB, m, n, k, float64(alpha), widen(a), lda, widen(b), ldb, float64(beta), c, ldc)
				return 0
			},
		}
	},
	"gemv": func(t trial) call {
		tA, m, n, alpha, beta, incX, incY := t.transpose(), t.size(), t.size(), t.scalar(), t.scalar(), t.increment(), t.increment()
		lenX, lenY := n, m
		if tA != blas.NoTrans {
			lenX, lenY = m, n
		}
		a, lda := t.matrix(blas.NoTrans, m, n, alpha == 0)
		x, y := t.vector(lenX, incX, false), t.vector(lenY, incY, beta == 0)
		return call{
			fmt.Sprint(tA, m, n, alpha, len(a), lda, len(x), incX, beta, len(y), incY), lenX, y,
			func(y []float32) float32 { ours.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY); return 0 },
			func(y []float64) float64 {
				if n := (lenY-1)*max(incY, -incY) + 1; 0 < n && n < len(y) {
					y = y[:n] // because gonum clears whatever comes after
				}
				theirs.Dgemv(tA, m, n, float64(alpha), widen(a), lda, widen(x), incX, float64(beta), y, incY)
				return 0
			},
		}
	},
	"ger": func(t trial) call {
		m, n, alpha, incX, incY := t.size(), t.size(), t.scalar(), t.increment(), t.increment()
		x, y := t.vector(m, incX, false), t.vector(n, incY, false)
		a, lda := t.matrix(blas.NoTrans, m, n, false)
		return call{
			fmt.Sprint(m, n, alpha, len(x), incX, len(y), incY, len(a), lda), 1, a,
			func(a []float32) float32 { ours.Sger(m, n, alpha, x, incX, y, incY, a, lda); return 0 },
			func(a []float64) float64 {
				// Row by row, because gonum's Dger reads outside x where it is reversed; with 0 it checks its arguments only.
				theirs.Dger(m, n, 0, widen(x), incX, widen(y), incY, a, lda)
				for i := range max(0, min(m, m*n)) {
					at := i * incX
					if incX < 0 {
						at = (i + 1 - m) * incX
					}
					theirs.Daxpy(n, float64(alpha)*float64(x[at]), widen(y), incY, a[i*lda:], 1)
				}
				return 0
			},
		}
	},
	"axpy": func(t trial) call {
		n, alpha, incX, incY := t.size(), t.scalar(), t.increment(), t.increment()
		x, y := t.vector(n, incX, alpha == 0), t.vector(n, incY, false)
		return call{
			fmt.Sprint(n, alpha, len(x), incX, len(y), incY), 1, y,
			func(y []float32) float32 { ours.Saxpy(n, alpha, x, incX, y, incY); return 0 },
			func(y []float64) float64 { theirs.Daxpy(n, float64(alpha), widen(x), incX, y, incY); return 0 },
		}
	},
	"scal": func(t trial) call {
		n, alpha, inc := t.size(), t.scalar(), t.increment()
		x := t.vector(n, inc, alpha == 0)
		return call{
			fmt.Sprint(n, alpha, len(x), inc), 1, x,
			func(x []float32) float32 { ours.Sscal(n, alpha, x, inc); return 0 },
			func(x []float64) float64 { theirs.Dscal(n, float64(alpha), x, inc); return 0 },
		}
	},
	"dot": func(t trial) call {
		n, incX, incY := t.size(), t.increment(), t.increment()
		x, y := t.vector(n, incX, false), t.vector(n, incY, false)
		return call{
			fmt.Sprint(n, len(x), incX, len(y), incY), n, nil,
			func([]float32) float32 { return ours.Sdot(n, x, incX, y, incY) },
			func([]float64) float64 { return theirs.Ddot(n, widen(x), incX, widen(y), incY) },
		}
	},
	"nrm2": func(t trial) call {
		n, inc := t.size(), t.increment()
		x := t.vector(n, inc, false)
		return call{
			fmt.Sprint(n, len(x), inc), n, nil,
			func([]float32) float32 { return ours.Snrm2(n, x, inc) },
			func([]float64) float64 { return theirs.Dnrm2(n, widen(x), inc) },
		}
	},
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func TestAgreesWithGonum(t *testing.T) {
	const trials = 4000
	for name, draw := range routines {
		t.Run(name, func(t *testing.T) {
			source, panics := trial{rand.New(rand.NewPCG(1, 2))}, 0
			for range trials {
				c := draw(source)
				got, want := append([]float32(nil), c.changed...), widen(c.changed)
				result, refused := outcome(c.single, got)
				exact, expected := outcome(c.double, want)
				if refused != expected {
					t.Fatalf("(%s): panic %v, gonum's %v", c.args, refused, expected)
				}
				if refused != nil {
					panics++
				}
				compare(t, c, append(got, result), append(want, exact))
			}
			if panics == 0 || panics > trials/2 {
				t.Errorf("%d of %d calls had bad arguments; the test wants both kinds", panics, trials)
			}
		})
	}
}

func outcome[T any](f func([]T) T, changed []T) (result T, panicked any) {
	defer func() { panicked = recover() }()
	return f(changed), nil
}

// compare allows for the rounding of sums of values that are at most 1.
func compare(t *testing.T, c call, got []float32, want []float64) {
	t.Helper()
	allowed := float64(c.terms+3) * float64(c.terms+1) * 0x1p-24
	for i, v := range got {
		if !(math.Abs(float64(v)-want[i]) <= allowed) && !(v != v && want[i] != want[i]) {
			t.Fatalf("(%s): element %d is %g, want %g", c.args, i, v, want[i])
		}
	}
}

func TestNormOfExtremeValues(t *testing.T) {
	for _, scale := range []float32{0, 1e-40, 1e-30, 1e-15, 1, 1e15, 1e30} {
		x := make([]float32, 100)
		for i := range x {
			x[i] = scale
		}
		want := 10 * float64(scale)
		if got := float64(Implementation{}.Snrm2(len(x), x, 1)); math.Abs(got-want) > 1e-6*want {
			t.Errorf("norm of 100 times %g: %g, want %g", scale, got, want)
		}
	}
	inf := float32(math.Inf(1))
	if got := (Implementation{}).Snrm2(2, []float32{1, inf}, 1); got != inf {
		t.Errorf("norm with Inf: %g", got)
	}
}

// TestWhereGonumDiffers: the differences that the documentation names.
func TestWhereGonumDiffers(t *testing.T) {
	nan := float32(math.NaN())
	c := []float32{7}
	ours.Sgemm(blas.NoTrans, blas.NoTrans, 1, 1, 2, 0, []float32{nan, nan}, 2, []float32{nan, 1}, 1, 2, c, 1)
	if c[0] != 14 {
		t.Errorf("0*NaN operands + 2*7 = %g, want 14", c[0])
	}
	ours.Sgemm(blas.NoTrans, blas.NoTrans, 1, 1, 2, 1, []float32{0, 1}, 2, []float32{nan, 1}, 1, 0, c, 1)
	if c[0] == c[0] {
		t.Errorf("0*NaN + 1*1 = %g, want NaN", c[0])
	}
}

func ExampleImplementation() {
	defer blas32.Use(blas32.Implementation())
	blas32.Use(Implementation{})
	a := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: []float32{1, 2, 3, 4}}
	c := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: make([]float32, 4)}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, a, a, 0, c)
	fmt.Println(c.Data)
	// Output: [5 11 11 25]
}
