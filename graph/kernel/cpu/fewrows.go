package cpu

import "unsafe"

// Products with few rows read each element of b a few times only, so that packing it would take longer than multiplying.

// dots computes a block as inner products of rows of a and columns of b. It walks down a few columns at a time, in parts short enough
// to be in the cache for all rows.
func (g *product) dots(s *scratch, i0, i1, j0, j1 int) {
	t := &s.tile
	t.alpha = g.alpha
	t.rsa, t.ldb, t.ldc = 4*g.a.RS, 4*g.b.CS, 4*g.c.RS
	passes := (i1 - i0 + g.ks.dotTile - 1) / g.ks.dotTile
	rows := (i1 - i0 + passes - 1) / passes
	for j := j0; j < j1; {
		cols := 4
		if j1-j < 4 {
			cols = 1
		}
		for p := 0; p < g.k; p += g.kc {
			t.k, t.beta = min(g.kc, g.k-p), 1
			if p == 0 {
				t.beta = g.beta
			}
			t.b = unsafe.Pointer(&g.b.Data[j*g.b.CS+p])
			for i := i0; i < i1; i += rows {
				t.a, t.c = unsafe.Pointer(&g.a.Data[i*g.a.RS+p]), unsafe.Pointer(&g.c.Data[i*g.c.RS+j])
				runDots(t, min(rows, i1-i), cols)
			}
		}
		j += cols
	}
	t.a, t.b, t.c = nil, nil, nil
}

const (
	rowTerms = 4   // rows of b that are added at a time
	rowStrip = 512 // columns of c that stay in the cache meanwhile
)

// rowSums computes a block by adding multiples of rows of b to rows of c.
func (g *product) rowSums(s *scratch, i0, i1, j0, j1 int) {
	for j := j0; j < j1; j += rowStrip {
		cols := min(rowStrip, j1-j)
		if !g.ks.rowKernels {
			g.axpys(i0, i1, j, cols)
			continue
		}
		t := &s.tile
		t.alpha, t.cols = g.alpha, cols
		t.rsa, t.csa, t.ldb, t.ldc = 4*g.a.RS, 4*g.a.CS, 4*g.b.RS, 4*g.c.RS
		for p := 0; p < g.k; p += t.k {
			t.k, t.beta = rowTerms, 1
			if g.k-p < rowTerms {
				t.k = 1
			}
			if p == 0 {
				t.beta = g.beta
			}
			t.b = unsafe.Pointer(&g.b.Data[p*g.b.RS+j])
			for i := i0; i < i1; i += 2 {
				t.a, t.c = unsafe.Pointer(&g.a.Data[i*g.a.RS+p*g.a.CS]), unsafe.Pointer(&g.c.Data[i*g.c.RS+j])
				runRows(t, min(2, i1-i))
			}
		}
		t.a, t.b, t.c = nil, nil, nil
	}
}

// axpys is rowSums without a kernel for it, for one strip.
func (g *product) axpys(i0, i1, j, cols int) {
	for i := i0; i < i1; i++ {
		c := g.c.Data[i*g.c.RS+j:][:cols]
		if g.beta == 0 {
			clear(c)
		} else {
			Scale(c, g.beta)
		}
		for p := range g.k {
			Axpy(g.alpha*g.a.Data[i*g.a.RS+p*g.a.CS], g.b.Data[p*g.b.RS+j:][:cols], c)
		}
	}
}
