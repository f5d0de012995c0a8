package dense

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// SingularError reports a matrix of a stack that has no inverse in the precision at hand, or values that are not finite.
type SingularError struct {
	Matrix int // the first such matrix
}

func (e *SingularError) Error() string {
	return fmt.Sprintf("dense: matrix %d of the stack is singular or not finite; expected invertible matrices", e.Matrix)
}

// Solve computes x = a⁻¹·b for each matrix of three stacks, by LU factorisation with partial pivoting (Golub and Van Loan, "Matrix
// Computations", section 3.4) in float64. x may be b. If a pivot is 0 the solution is NaN and a *[SingularError] names the first such
// matrix. Cost: 2/3·n³ + 2·n²·cols operations each, four matrices at a time, on all threads.
func Solve[T Float](a, b, x Stack[T]) error {
	squareStack(a)
	sameStack(b, x)
	if a.N != b.N || a.Cols != b.Rows {
		panic(fmt.Sprintf("dense: %d systems of size %d and %d right sides of %d rows", a.N, a.Rows, b.N, b.Rows))
	}
	switch a := any(a).(type) {
	case Stack[float32]:
		solve32.Run(a.groups(), b.groupGrain(), solveArgs[float32]{a, any(b).(Stack[float32]), any(x).(Stack[float32])})
	case Stack[float64]:
		solve64.Run(a.groups(), b.groupGrain(), solveArgs[float64]{a, any(b).(Stack[float64]), any(x).(Stack[float64])})
	}
	return firstNaN(x)
}

type solveArgs[T Float] struct{ a, b, x Stack[T] }

var (
	solve32 = cpu.NewLoop(solveGroups[float32])
	solve64 = cpu.NewLoop(solveGroups[float64])
)

// solveGroups runs over groups of matrices.
func solveGroups[T Float](s *solveArgs[T], lo, hi int) {
	n, cols := s.a.Rows, s.b.Cols
	pool := stackPool[T]()
	w := pool.Get()
	for g := lo; g < hi; g++ {
		mark := w.Mark()
		f, y := newLU(w, n), laneScratch(w, n, cols)
		s.a.group(w, g).load(f.matrix(), inPlace)
		singular := f.factor(0)
		s.b.group(w, g).load(y, f.source)
		f.solve(y)
		s.x.group(w, g).store(y, singular)
		w.Release(mark)
	}
	pool.Put(w)
}

// luBlock is how many columns are eliminated together.
const luBlock = 8

// lu holds the factors P·A = L·U of four matrices, L with a unit diagonal below U. A further column, exchanged like the others, tells
// which row of A each row of P·A is.
type lu struct {
	n        int
	m        cpu.LaneMat // n rows, n+1 columns
	inverses cpu.LaneMat // of the diagonal of U, one row
	// exchanged tells that P is not the identity in some lane.
	exchanged bool
}

// newLU returns memory for matrices of size n.
func newLU[T Float](w *Workspace[T], n int) lu {
	f := lu{n: n, m: laneScratch(w, n, n+1), inverses: laneScratch(w, 1, n)}
	for i := range n {
		*f.m.At(i, n) = [cpu.Lanes]float64{float64(i), float64(i), float64(i), float64(i)}
	}
	return f
}

// matrix returns the part of the memory that takes the matrices to factor.
func (f *lu) matrix() cpu.LaneMat { return f.m.Block(0, 0, f.n, f.n) }

// source returns the row of A in lane l that is row i of P·A.
func (f *lu) source(i, l int) int { return int(f.m.At(i, f.n)[l]) }

// factor computes the factors in place, by blocks of columns from left to right, and reports, for each lane, whether a pivot was at most tol in magnitude, not
// finite, or too small to divide by.
func (f *lu) factor(tol float64) (singular [cpu.Lanes]bool) {
	n, m := f.n, f.m
	for p := 0; p < n; p += luBlock {
		end := min(p+luBlock, n)
		above := m.Block(0, p, p, end-p)
		cpu.SolveLower(m.Block(0, 0, p, p), above)
		cpu.MulSub(m.Block(p, 0, n-p, p), above, m.Block(p, p, n-p, end-p))
		for j := p; j < end; j++ {
			f.pivot(j)
			inverse := f.inverses.At(0, j)
			for l, v := range m.At(j, j) {
				inverse[l] = 1 / v
				singular[l] = singular[l] || !(math.Abs(v) > tol) || inverse[l] == 0 || math.IsInf(inverse[l], 0)
			}
			m.Block(j, j, n-j, end-j).Eliminate(inverse)
		}
	}
	return singular
}

// pivot exchanges, in each lane, row j with the one whose element in column j is the largest of those below and including it.
func (f *lu) pivot(j int) {
	for l, down := range f.m.Block(j, j, f.n-j, 1).Pivots() {
		if down == 0 {
			continue
		}
		f.exchanged = true
		a, b := f.m.Data[cpu.Lanes*j*f.m.Stride:], f.m.Data[cpu.Lanes*(j+down)*f.m.Stride:]
		for c := l; c < cpu.Lanes*(f.n+1); c += cpu.Lanes {
			a[c], b[c] = b[c], a[c]
		}
	}
}

// solve replaces y = P·B by A⁻¹·B.
func (f *lu) solve(y cpu.LaneMat) {
	cpu.SolveLower(f.matrix(), y)
	cpu.SolveUpper(f.matrix(), f.inverses.Data, y)
}

// invert computes y = c·A⁻¹ for a zero y.
func (f *lu) invert(c float64, y cpu.LaneMat) {
	n := f.n
	for i := range n {
		*y.At(i, i) = [cpu.Lanes]float64{c, c, c, c}
	}
	for p := 0; p < n; p += luBlock { // L⁻¹ is lower triangular too
		cpu.SolveLower(f.m.Block(p, p, n-p, n-p), y.Block(p, p, n-p, min(luBlock, n-p)))
	}
	cpu.SolveUpper(f.matrix(), f.inverses.Data, y)
	if f.exchanged { // y is A⁻¹·Pᵀ so far
		f.exchangeColumns(y)
	}
}

// exchangeColumns replaces y by y·P. It needs the factors no more and writes over them.
func (f *lu) exchangeColumns(y cpu.LaneMat) {
	for l := range cpu.Lanes {
		for i := range f.n {
			row, moved := y.Data[cpu.Lanes*i*y.Stride+l:], f.m.Data[l:][:cpu.Lanes*f.n]
			for j := range f.n {
				moved[cpu.Lanes*f.source(j, l)] = row[cpu.Lanes*j]
			}
			for j := 0; j < cpu.Lanes*f.n; j += cpu.Lanes {
				row[j] = moved[j]
			}
		}
	}
}
