package cpu

import "fmt"

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
	m := Mat{w.F32, w.Rows, w.Cols, w.Cols, 1}
	if transpose {
		m = m.T()
	}
	p := new(PackedB)
	src := w.BF16
	switch {
	case w.BF16 != nil:
		p.panels.f = wideBF16
	case w.F16 != nil:
		src = w.F16
		p.panels.f = wideF16
	default:
		p.Pack(m)
		return p
	}
	nr := p.shape(m)
	p.panels.u16 = make([]uint16, roundUp(p.cols, nr)*p.rows)
	order := p.ks.order16(w.BF16 != nil)
	Parallel((p.cols+nr-1)/nr, 4, func(lo, hi int) {
		for j := lo * nr; j < min(hi*nr, p.cols); j += nr {
			pack16(p.panels.u16[j*p.rows:], order, src, m.RS, m.CS, j, min(nr, p.cols-j), p.rows)
		}
	})
	return p
}

// Pack replaces what p held by b. It reuses the memory of a matrix that Pack put there before, and keeps no reference to b.
func (p *PackedB) Pack(b Mat) {
	b.check("b")
	nr := p.shape(b)
	p.panels.f, p.panels.u16 = wideF32, nil
	p.panels.f32 = room(p.panels.f32, roundUp(p.cols, nr)*p.rows)
	if len(p.panels.f32) < packAtOnce {
		p.ks.packB(p.panels.f32, nr*p.rows, b, 0, p.rows, 0, p.cols)
		return
	}
	packLoop.Run((p.cols+nr-1)/nr, 4, packArgs{p, b})
}

// packAtOnce is how many elements one thread packs faster than it finds helpers.
const packAtOnce = 1 << 16

// shape takes over the extents of b and returns the width of the panels of the level in use.
func (p *PackedB) shape(b Mat) (nr int) {
	p.ks, p.rows, p.cols = currentKernels(), b.Rows, b.Cols
	p.panels.height = b.Rows
	return p.ks.nr
}

// packArgs are the operands of packLoop.
type packArgs struct {
	p *PackedB
	b Mat
}

// packLoop runs over panels.
var packLoop = NewLoop(func(a *packArgs, lo, hi int) {
	p, nr := a.p, a.p.ks.nr
	p.ks.packB(p.panels.f32[lo*nr*p.rows:], nr*p.rows, a.b, 0, p.rows, lo*nr, min(hi*nr, p.cols))
})

// PanelCols is a multiple of the width of the panels at every level.
const PanelCols = 32

// Block returns the view of rows [p0, p1) and columns [j0, j1), where j0 is a multiple of PanelCols.
func (p *PackedB) Block(p0, p1, j0, j1 int) PackedB {
	if p0 < 0 || p1 < p0 || p1 > p.rows || j0 < 0 || j1 < j0 || j1 > p.cols || j0%PanelCols != 0 {
		panic(fmt.Sprintf("cpu: rows %d to %d and columns %d to %d of a packed matrix of %dx%d; expected to begin at a multiple of %d columns",
			p0, p1, j0, j1, p.rows, p.cols, PanelCols))
	}
	v := *p
	v.rows, v.cols = p1-p0, j1-j0
	if at := j0*p.panels.height + p0*p.ks.nr; v.rows > 0 && v.cols > 0 {
		if v.panels.u16 != nil {
			v.panels.u16 = v.panels.u16[at:]
		} else {
			v.panels.f32 = v.panels.f32[at:]
		}
	}
	return v
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
