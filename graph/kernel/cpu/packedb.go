package cpu

// PackedB is the right operand of products, stored once in the order in which the kernels read it, in its storage type. Products widen
// 16-bit values as they read them, which is exact.
type PackedB struct {
	ks         *kernels
	rows, cols int
	panels     panels
}

// PackB returns w, or its transpose, packed as the right operand of GemmPacked. It keeps no reference to w.
func PackB(w Weights, transpose bool) *PackedB {
	w.check()
	p := &PackedB{ks: currentKernels(), rows: w.Rows, cols: w.Cols}
	if transpose {
		p.rows, p.cols = w.Cols, w.Rows
	}
	nr := p.ks.nr
	size := roundUp(p.cols, nr) * p.rows
	src := w.BF16
	switch {
	case w.BF16 != nil:
		p.panels.f, p.panels.u16 = wideBF16, make([]uint16, size)
	case w.F16 != nil:
		src = w.F16
		p.panels.f, p.panels.u16 = wideF16, make([]uint16, size)
	default:
		p.panels.f32 = make([]float32, size)
	}
	rs, cs := w.Cols, 1
	if transpose {
		rs, cs = 1, w.Cols
	}
	Parallel((p.cols+nr-1)/nr, 4, func(lo, hi int) {
		j0, j1 := lo*nr, min(hi*nr, p.cols)
		if p.panels.u16 == nil {
			p.ks.packB(p.panels.f32[j0*p.rows:], nr*p.rows, Mat{w.F32, p.rows, p.cols, rs, cs}, 0, p.rows, j0, j1)
			return
		}
		for j := j0; j < j1; j += nr {
			pack16(p.panels.u16[j*p.rows:], p.ks.order16(w.BF16 != nil), src, rs, cs, j, min(nr, j1-j), p.rows)
		}
	})
	return p
}

// order16 returns the place of each column in the rows of a panel of 16-bit values.
func (ks *kernels) order16(bf16 bool) []int {
	order := make([]int, ks.nr)
	for l := range order {
		order[l] = l
		if half := ks.nr / 2; bf16 && ks.pairs {
			order[l] = l%half*2 + l/half
		}
	}
	return order
}

// pack16 fills a panel with the columns [j, j+count) of 16-bit values; order holds the place of each column in the panel.
func pack16(dst []uint16, order []int, src []uint16, rs, cs, j, count, k int) {
	nr := len(order)
	if cs == 1 {
		for p := range k {
			row := dst[p*nr:][:nr]
			for l, v := range src[p*rs+j:][:count] {
				row[order[l]] = v
			}
		}
		return
	}
	const part = 64 // rows of the panel that stay in the cache while the columns are read
	for p0 := 0; p0 < k; p0 += part {
		for l := range count {
			line := src[(j+l)*cs+p0:][:min(part, k-p0)]
			to := dst[p0*nr+order[l]:]
			for p, v := range line {
				to[p*nr] = v
			}
		}
	}
}

// Rows returns the number of rows of the operand.
func (p *PackedB) Rows() int { return p.rows }

// Cols returns the number of columns of the operand.
func (p *PackedB) Cols() int { return p.cols }

// Bytes returns the size of the packed copy.
func (p *PackedB) Bytes() int { return 4*len(p.panels.f32) + 2*len(p.panels.u16) }
