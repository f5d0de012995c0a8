package dense

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
		addGram(wide, n, g)
	}
	for i := range k {
		for j := range i {
			g.Set(i, j, g.At(j, i))
		}
	}
}

// addGram adds the inner products of the first n elements of the rows of c to the upper triangle of g.
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
			p := dots(x0, x1, y0, y1)
			for a := range min(2, c.Rows-i) {
				for b := range min(2, c.Rows-j) {
					g.Data[(i+a)*g.RS+(j+b)*g.CS] += p[2*a+b]
				}
			}
		}
	}
}

// dots returns the inner products x0·y0, x0·y1, x1·y0, x1·y1 of equally long vectors.
func dots(x0, x1, y0, y1 []float64) [4]float64 {
	x1, y0, y1 = x1[:len(x0)], y0[:len(x0)], y1[:len(x0)]
	var s00, s01, s10, s11, t00, t01, t10, t11 float64
	n := len(x0) &^ 1
	for l := 0; l < n; l += 2 {
		a0, a1, b0, b1 := x0[l], x1[l], y0[l], y1[l]
		s00 += float64(a0 * b0)
		s01 += float64(a0 * b1)
		s10 += float64(a1 * b0)
		s11 += float64(a1 * b1)
		a0, a1, b0, b1 = x0[l+1], x1[l+1], y0[l+1], y1[l+1]
		t00 += float64(a0 * b0)
		t01 += float64(a0 * b1)
		t10 += float64(a1 * b0)
		t11 += float64(a1 * b1)
	}
	for l := n; l < len(x0); l++ {
		s00 += float64(x0[l] * y0[l])
		s01 += float64(x0[l] * y1[l])
		s10 += float64(x1[l] * y0[l])
		s11 += float64(x1[l] * y1[l])
	}
	return [4]float64{s00 + t00, s01 + t01, s10 + t10, s11 + t11}
}
