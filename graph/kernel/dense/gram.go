package dense

import "github.com/geotune/geotune/graph/kernel/cpu"

// gramRows is the number of rows that are widened to float64 at a time; they stay in the cache while their products are summed.
const gramRows = 128

// Gram computes g = yᵀ·y for a tall y with contiguous rows. Products and sums are float64 for both element types, in a fixed order:
// squares of float32 values are exact there. Cost: rows·cols² operations.
func Gram[T Float](w *Workspace[T], y Mat[T], g Core) {
	defer w.Release(w.Mark())
	k := y.Cols
	wide := w.Core(k, gramRows) // a column of y a row
	Zero(g)
	for first := 0; first < y.Rows; first += gramRows {
		n := min(gramRows, y.Rows-first)
		for i := range n {
			for j, v := range y.row(first + i) {
				wide.Data[j*gramRows+i] = float64(v)
			}
		}
		padded := (n + 7) &^ 7
		for j := range k {
			clear(wide.row(j)[n:padded])
		}
		addGram(wide, padded, g)
	}
	for i := range k {
		for j := range i {
			g.Set(i, j, g.At(j, i))
		}
	}
}

// addGram adds the inner products of the first n elements, a multiple of 8, of the rows of c to the upper triangle of g.
func addGram(c Core, n int, g Core) {
	for i := 0; i < c.Rows; i += 2 {
		x0 := c.row(i)[:n]
		x1 := x0
		if i+1 < c.Rows {
			x1 = c.row(i + 1)[:n]
		}
		for j := i; j < c.Rows; j += 2 {
			y0 := c.row(j)[:n]
			y1 := y0
			if j+1 < c.Rows {
				y1 = c.row(j + 1)[:n]
			}
			p := cpu.Dots64(x0, x1, y0, y1)
			for a := range min(2, c.Rows-i) {
				for b := range min(2, c.Rows-j) {
					g.Data[(i+a)*g.RS+(j+b)*g.CS] += p[2*a+b]
				}
			}
		}
	}
}
