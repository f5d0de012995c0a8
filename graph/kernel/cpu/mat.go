package cpu

import "fmt"

// Mat is a strided float32 matrix view: element (i,j) is Data[i*RS+j*CS].
type Mat struct {
	Data       []float32
	Rows, Cols int
	RS, CS     int // strides between rows and between columns, in elements
}

// Dense returns the row-major matrix over data.
func Dense(data []float32, rows, cols int) Mat {
	return Mat{Data: data, Rows: rows, Cols: cols, RS: cols, CS: 1}
}

// T returns the transpose, a view of the same memory.
func (m Mat) T() Mat { return Mat{m.Data, m.Cols, m.Rows, m.CS, m.RS} }

// Block returns the view of rows x cols elements whose first element is (i,j).
func (m Mat) Block(i, j, rows, cols int) Mat {
	if i < 0 || j < 0 || rows < 0 || cols < 0 || i+rows > m.Rows || j+cols > m.Cols {
		panic(fmt.Sprintf("cpu: block of %dx%d at (%d,%d) outside a %dx%d matrix", rows, cols, i, j, m.Rows, m.Cols))
	}
	b := Mat{Rows: rows, Cols: cols, RS: m.RS, CS: m.CS}
	if rows > 0 && cols > 0 {
		b.Data = m.Data[i*m.RS+j*m.CS:]
	}
	return b
}

// check panics if the view reaches outside its data.
func (m Mat) check(name string) {
	if m.Rows < 0 || m.Cols < 0 || m.RS < 0 || m.CS < 0 {
		panic(fmt.Sprintf("cpu: operand %s: %dx%d with strides %d, %d; they must not be negative", name, m.Rows, m.Cols, m.RS, m.CS))
	}
	if m.Rows > 0 && m.Cols > 0 && (m.Rows-1)*m.RS+(m.Cols-1)*m.CS >= len(m.Data) {
		panic(fmt.Sprintf("cpu: operand %s: %dx%d with strides %d, %d reaches outside its %d elements", name, m.Rows, m.Cols, m.RS, m.CS, len(m.Data)))
	}
}
