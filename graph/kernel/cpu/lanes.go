package cpu

import (
	"fmt"
	"math"
)

// Lanes is how many matrices a LaneMat holds.
const Lanes = 4

// LaneMat is a view of four float64 matrices of the same shape with interleaved elements: element (i,j) of matrix l is
// Data[Lanes*(i*Stride+j)+l]. What is done to one is done to all, so that small matrices fill the vector registers. Every platform
// gives the same bits.
type LaneMat struct {
	Data       []float64
	Rows, Cols int
	Stride     int // between rows, in elements of four lanes
}

// At returns the four values of element (i,j).
func (m LaneMat) At(i, j int) *[Lanes]float64 {
	return (*[Lanes]float64)(m.Data[Lanes*(i*m.Stride+j):])
}

// Block returns the view of rows x cols elements whose first element is (i,j).
func (m LaneMat) Block(i, j, rows, cols int) LaneMat {
	if i < 0 || j < 0 || rows < 0 || cols < 0 || i+rows > m.Rows || j+cols > m.Cols {
		panic(fmt.Sprintf("cpu: block of %dx%d at (%d,%d) outside %dx%d matrices", rows, cols, i, j, m.Rows, m.Cols))
	}
	b := LaneMat{Rows: rows, Cols: cols, Stride: m.Stride}
	if rows > 0 && cols > 0 {
		b.Data = m.Data[Lanes*(i*m.Stride+j):]
	}
	return b
}

func (m LaneMat) empty() bool { return m.Rows == 0 || m.Cols == 0 }

// check panics if the view reaches outside its data.
func (m LaneMat) check() {
	if m.Rows < 0 || m.Cols < 0 || m.Stride < m.Cols || !m.empty() && Lanes*((m.Rows-1)*m.Stride+m.Cols) > len(m.Data) {
		panic(fmt.Sprintf("cpu: %dx%d matrices with stride %d in four lanes of %d elements", m.Rows, m.Cols, m.Stride, len(m.Data)/Lanes))
	}
}

// MulSub computes c -= a·b in each lane. c must not overlap a or b. The terms of an element are subtracted one after the other, by
// fused multiplications.
func MulSub(a, b, c LaneMat) {
	if a.Cols != b.Rows || a.Rows != c.Rows || b.Cols != c.Cols {
		panic(fmt.Sprintf("cpu: product of %dx%d and %dx%d from %dx%d", a.Rows, a.Cols, b.Rows, b.Cols, c.Rows, c.Cols))
	}
	if a.empty() || c.empty() {
		return
	}
	a.check()
	b.check()
	c.check()
	if mulSubFast(a, b, c) {
		return
	}
	for i := range c.Rows {
		for j := range c.Cols {
			sum := c.At(i, j)
			for k := range a.Cols {
				mulSub(sum, a.At(i, k), b.At(k, j))
			}
		}
	}
}

// SolveLower replaces y by L⁻¹·y in each lane, where L has the strict lower triangle of l and a unit diagonal.
func SolveLower(l, y LaneMat) {
	checkTriangle(l, y)
	if y.empty() || solveLowerFast(l, y) {
		return
	}
	for i := range y.Rows {
		for j := range y.Cols {
			sum := y.At(i, j)
			for k := range i {
				mulSub(sum, l.At(i, k), y.At(k, j))
			}
		}
	}
}

// SolveUpper replaces y by U⁻¹·y in each lane, where U is the upper triangle of u; element i of inverses, of four lanes like the others,
// is 1/u(i,i).
func SolveUpper(u LaneMat, inverses []float64, y LaneMat) {
	checkTriangle(u, y)
	inverses = inverses[:Lanes*y.Rows]
	if y.empty() || solveUpperFast(u, inverses, y) {
		return
	}
	for i := y.Rows - 1; i >= 0; i-- {
		for j := range y.Cols {
			sum := y.At(i, j)
			for k := i + 1; k < y.Rows; k++ {
				mulSub(sum, u.At(i, k), y.At(k, j))
			}
			for l := range sum {
				sum[l] *= inverses[Lanes*i+l]
			}
		}
	}
}

func checkTriangle(t, y LaneMat) {
	if t.Rows != t.Cols || t.Rows != y.Rows {
		panic(fmt.Sprintf("cpu: triangles of %dx%d for %dx%d", t.Rows, t.Cols, y.Rows, y.Cols))
	}
	t.check()
	y.check()
}

// mulSub computes sum -= x·y in each lane.
func mulSub(sum, x, y *[Lanes]float64) {
	for l := range sum {
		sum[l] = math.FMA(-x[l], y[l], sum[l])
	}
}

// Eliminate does one step of elimination with the first row of m, of at most 8 columns, in each lane: it multiplies the first column
// below by inverse, the reciprocal of the pivot, and subtracts its products with the first row from the other columns.
func (m LaneMat) Eliminate(inverse *[Lanes]float64) {
	m.check()
	if m.Cols < 1 || m.Cols > 8 {
		panic(fmt.Sprintf("cpu: elimination in %d columns; expected 1 to 8", m.Cols))
	}
	if m.Rows < 2 || eliminateFast(m, inverse) {
		return
	}
	for i := 1; i < m.Rows; i++ {
		c := m.At(i, 0)
		for l := range c {
			c[l] *= inverse[l]
		}
		for j := 1; j < m.Cols; j++ {
			mulSub(m.At(i, j), c, m.At(0, j))
		}
	}
}

// Skew computes m = s·(aᵀ-a) in each lane, for square matrices. m must not overlap a.
func (m LaneMat) Skew(s float64, a LaneMat) {
	if m.Rows != m.Cols || a.Rows != a.Cols || m.Rows != a.Rows {
		panic(fmt.Sprintf("cpu: skew part of %dx%d in %dx%d", a.Rows, a.Cols, m.Rows, m.Cols))
	}
	if m.empty() {
		return
	}
	m.check()
	a.check()
	for i := range m.Rows {
		if subLanesFast(m.Data[Lanes*i*m.Stride:], a.Data[Lanes*i:], a.Stride, a.Data[Lanes*i*a.Stride:], s, m.Cols) {
			continue
		}
		for j := range m.Cols {
			to, x, y := m.At(i, j), a.At(j, i), a.At(i, j)
			for l := range to {
				to[l] = s * (x[l] - y[l])
			}
		}
	}
}

// Pivots returns, for each lane, the row of the element of column 0 with the largest magnitude, the first if there are several.
func (m LaneMat) Pivots() (row [Lanes]int) {
	m.check()
	var at [Lanes]float64
	if pivotLanesFast(m.Data, m.Stride, m.Rows, &at) {
		for l, i := range at {
			row[l] = int(i)
		}
		return row
	}
	for l := range row {
		for i := range m.Rows {
			if math.Abs(m.At(i, 0)[l]) > math.Abs(m.At(row[l], 0)[l]) {
				row[l] = i
			}
		}
	}
	return row
}

// SetRow widens the values of four slices, all as long as a row, to row i of the lanes.
func (m LaneMat) SetRow(i int, values *[Lanes][]float32) {
	m.Block(i, 0, 1, m.Cols).check()
	row := m.Data[Lanes*i*m.Stride:]
	for l := range values {
		values[l] = values[l][:m.Cols]
	}
	for j := spreadFront(row, values, m.Cols); j < m.Cols; j++ {
		for l, v := range values {
			row[Lanes*j+l] = float64(v[j])
		}
	}
}

// Row rounds row i of the lanes to four slices, all as long as a row.
func (m LaneMat) Row(i int, values *[Lanes][]float32) {
	m.Block(i, 0, 1, m.Cols).check()
	row := m.Data[Lanes*i*m.Stride:]
	for l := range values {
		values[l] = values[l][:m.Cols]
	}
	for j := gatherFront(values, row, m.Cols); j < m.Cols; j++ {
		for l, v := range values {
			v[j] = float32(row[Lanes*j+l])
		}
	}
}
