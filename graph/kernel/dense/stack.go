package dense

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Stack is a view of matrices of the same shape, row-major, one after the other in memory: the blocks of a block-diagonal matrix as
// adapters store them.
type Stack[T Float] struct {
	Data          []T
	N, Rows, Cols int
}

// StackOf returns the stack of n matrices over data.
func StackOf[T Float](data []T, n, rows, cols int) Stack[T] {
	return Stack[T]{Data: data[:n*rows*cols], N: n, Rows: rows, Cols: cols}
}

// At returns matrix i.
func (s Stack[T]) At(i int) Mat[T] { return Of(s.Data[i*s.Rows*s.Cols:], s.Rows, s.Cols) }

// sameStack panics unless both stacks have the same shape.
func sameStack[T Float](a, b Stack[T]) {
	if a.N != b.N || a.Rows != b.Rows || a.Cols != b.Cols {
		panic(fmt.Sprintf("dense: stacks of %d %dx%d and %d %dx%d matrices", a.N, a.Rows, a.Cols, b.N, b.Rows, b.Cols))
	}
}

// squareStack panics unless the matrices are square.
func squareStack[T Float](a Stack[T]) {
	if a.Rows != a.Cols {
		panic(fmt.Sprintf("dense: %dx%d matrices where square ones belong", a.Rows, a.Cols))
	}
}

// firstNaN returns a SingularError for the first matrix that starts with NaN.
func firstNaN[T Float](s Stack[T]) error {
	if s.Rows == 0 || s.Cols == 0 {
		return nil
	}
	for i := range s.N {
		if v := s.Data[i*s.Rows*s.Cols]; v != v {
			return &SingularError{Matrix: i}
		}
	}
	return nil
}

// groups returns how many groups of cpu.Lanes matrices the stack makes.
func (s Stack[T]) groups() int { return (s.N + cpu.Lanes - 1) / cpu.Lanes }

// groupGrain returns how many groups make a worthwhile piece of work that is cubic in the size of a matrix.
func (s Stack[T]) groupGrain() int { return max(1, 50000/max(1, s.Rows*s.Rows*max(s.Rows, s.Cols))) }

// stack32 and stack64 hold the working memory of loops over stacks.
var (
	stack32 Pool[float32]
	stack64 Pool[float64]
)

// stackPool returns the pool of the element type.
func stackPool[T Float]() *Pool[T] {
	if p, single := any(&stack32).(*Pool[T]); single {
		return p
	}
	return any(&stack64).(*Pool[T])
}

// laneScratch returns zero matrices in lanes. Their stride is odd, so that the elements of a column do not compete for the same lines of
// the cache.
func laneScratch[T Float](w *Workspace[T], rows, cols int) cpu.LaneMat {
	return cpu.LaneMat{Data: w.Values(cpu.Lanes * rows * (cols | 1)), Rows: rows, Cols: cols, Stride: cols | 1}
}

// setRow widens the values of four slices to row i of the lanes.
func setRow[T Float](m cpu.LaneMat, i int, values *[cpu.Lanes][]T) {
	if single, ok := any(values).(*[cpu.Lanes][]float32); ok {
		m.SetRow(i, single)
		return
	}
	for l, v := range values {
		for j, x := range v {
			m.At(i, j)[l] = float64(x)
		}
	}
}

// getRow rounds row i of the lanes to four slices.
func getRow[T Float](m cpu.LaneMat, i int, values *[cpu.Lanes][]T) {
	if single, ok := any(values).(*[cpu.Lanes][]float32); ok {
		m.Row(i, single)
		return
	}
	for l, v := range values {
		for j := range v {
			v[j] = T(m.At(i, j)[l])
		}
	}
}

// group is up to cpu.Lanes matrices of a stack. Lanes without one of their own read the last and write to waste.
type group[T Float] struct {
	stack        Stack[T]
	first, count int
	waste        []T // a row
}

func (s Stack[T]) group(w *Workspace[T], g int) group[T] {
	first := cpu.Lanes * g
	return group[T]{s, first, min(cpu.Lanes, s.N-first), w.Mat(1, s.Cols).Data}
}

// load brings the matrices to lanes; row i of lane l is row source(i, l) of its matrix.
func (g group[T]) load(m cpu.LaneMat, source func(i, l int) int) {
	var rows [cpu.Lanes][]T
	for i := range g.stack.Rows {
		for l := range rows {
			rows[l] = g.stack.At(g.first + min(l, g.count-1)).row(source(i, l))
		}
		setRow(m, i, &rows)
	}
}

// store brings lanes to the matrices, and NaN to those that are marked.
func (g group[T]) store(m cpu.LaneMat, singular [cpu.Lanes]bool) {
	var rows [cpu.Lanes][]T
	for i := range g.stack.Rows {
		for l := range rows {
			rows[l] = g.waste
			if l < g.count {
				rows[l] = g.stack.At(g.first + l).row(i)
			}
		}
		getRow(m, i, &rows)
	}
	for l := range g.count {
		if singular[l] {
			fill(g.stack.At(g.first+l), T(math.NaN()))
		}
	}
}

// inPlace is the order of rows in which nothing is exchanged.
func inPlace(i, _ int) int { return i }

func fill[T Float](m Mat[T], v T) {
	for i := range m.Rows {
		for j := range m.row(i) {
			m.Set(i, j, v)
		}
	}
}
