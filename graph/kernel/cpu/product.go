package cpu

import "unsafe"

// product is a matrix product in the form the kernels take, with the decisions how to compute it. They depend on the shape alone, so
// that each element of c is summed in one order whatever the number of threads.
type product struct {
	ks          *kernels
	m, n, k     int
	alpha, beta float32
	a, c        Mat
	bias        []float32   // added to every row instead of beta times c, if not nil; beta is 1 then
	b           Mat         // unless packed
	source      panelSource // instead of b
	panels      panels      // of all of b, or of the slab
	slab        slab
	next        uintptr // address of a of the product that follows in a batch, if that is at hand
	mr, kc      int     // rows of a tile and length of a block of k
	directA     bool    // read a in place for all columns of c
	packed      bool    // panels hold all of b
	modeB       modeB
}

// slab is the part of b that is shared and worked on at a time: rows [p0, p1) and columns [j0, j1).
type slab struct{ p0, p1, j0, j1 int }

// modeB tells how the kernels get at b.
type modeB int

const (
	directB modeB = iota // in place
	localB               // each piece of c packs the panel it is about to use
	sharedB              // in panels that all pieces use
	dotB                 // in place, stored by columns that a few rows of a are multiplied by
	rowB                 // in place, stored by rows that are added up for a few rows of c
)

// panels holds a right operand, or a slab of one, in panels of nr columns; one slice is set.
type panels struct {
	f32    []float32
	u16    []uint16
	f      family
	height int // rows of a panel
}

func (p *panels) at(i int) unsafe.Pointer {
	if p.u16 != nil {
		return unsafe.Pointer(&p.u16[i])
	}
	return unsafe.Pointer(&p.f32[i])
}

const (
	slabFloats = 2 << 20 // largest shared copy of b
	highSlab   = 512     // rows from which on a shared copy of b is used long enough to be a small one
	inCache    = 8192    // elements of b that stay in the L1 cache

	// lengths of inner products between two additions to c: no call may take long, and what several passes read stays in the cache
	dotTerms      = 4096
	dotTermsAgain = 512
)

// plan takes the decisions for operands whose shapes agree, c not empty and c.CS == 1 or both strides of c odd.
func (g *product) plan() {
	ks := g.ks
	g.kc = g.k
	if g.k > ks.blockK {
		parts := (g.k + ks.blockK - 1) / ks.blockK
		g.kc = ((g.k+parts-1)/parts + 15) &^ 15
	}
	if g.packed {
		g.modeB = sharedB
	} else {
		g.planB()
	}
	if g.modeB == dotB {
		if g.kc = min(g.k, dotTerms); g.m > ks.dotTile {
			g.kc = min(g.k, dotTermsAgain)
		}
	}
	stacked := g.a.RS == 1 && g.m <= 2*ks.lines // as good as panels
	g.directA = g.n <= 64 || g.m*g.k <= 6144 || g.m <= 8 || stacked
	mr := ks.mr
	if g.directA && !g.spreadA() && g.a.CS == 1 {
		mr = min(mr, 8)
	}
	tiles := (g.m + mr - 1) / mr
	g.mr = (g.m + tiles - 1) / tiles
	if mr <= 6 && g.mr == mr-1 { // a row less costs low tiles more than a lower last one
		g.mr = min(mr, g.m)
	}
}

// spreadA reports whether a is stored by rows that do not compete for the same sets of the L1 cache, as those do that lie 4 KiB apart.
func (g *product) spreadA() bool { return g.a.CS == 1 && g.a.RS%1024 != 0 }

func (g *product) planB() {
	ks := g.ks
	switch {
	case g.source != nil && g.m <= ks.localRows:
		g.modeB = localB
	case g.source != nil:
		g.modeB = sharedB
	case g.m <= ks.dotRows && g.b.RS == 1 && g.a.CS == 1 && g.c.CS == 1 && g.b.CS != 1:
		g.modeB = dotB
	case g.b.CS == 1 && g.c.CS == 1 && g.wholeRows():
		g.modeB = rowB
	case g.b.CS == 1 && (g.m <= 2*ks.mr || g.k*g.n <= inCache) && ks.fits(g.n):
		g.modeB = directB
	case g.m <= ks.localRows:
		g.modeB = localB
	default:
		g.modeB = sharedB
	}
}

// wholeRows reports whether to read b, which is stored by rows, by whole rows. Otherwise tiles walk down it, and touch a page with each
// step. That pays while b is in the cache, unless its rows compete for the same places there.
func (g *product) wholeRows() bool {
	if g.n < 128 || g.k*g.n <= inCache || g.m > g.ks.sumRows {
		return false
	}
	return g.m <= 4 || g.k*g.n > slabFloats || g.b.RS%1024 == 0
}

// scratch is the working memory of a thread.
type scratch struct {
	tile    tile
	a, b, c []float32
	directA bool   // a is read in place
	shared  panels // a slab that only this thread uses
}

var idleScratch free[scratch]

// room returns buf with at least n elements.
func room(buf []float32, n int) []float32 {
	if len(buf) < n {
		return make([]float32, n)
	}
	return buf
}

// rowsOfBlock returns how many rows of c are computed together.
func (g *product) rowsOfBlock() int {
	tiles := (g.m + g.mr - 1) / g.mr
	if g.modeB == localB { // each block packs b
		return tiles * g.mr
	}
	blocks := (tiles + g.ks.tiles - 1) / g.ks.tiles
	return (tiles + blocks - 1) / blocks * g.mr
}

// block computes rows [i0, i1) and columns [j0, j1) of c, with those terms of the sums that the slab has; j0 is the first column of a
// panel.
func (g *product) block(s *scratch, i0, i1, j0, j1 int) {
	switch g.modeB {
	case dotB:
		g.dots(s, i0, i1, j0, j1)
		return
	case rowB:
		g.rowSums(s, i0, i1, j0, j1)
		return
	}
	ks, t := g.ks, &s.tile
	s.directA = g.directA || j1-j0 <= ks.directCols && g.spreadA()
	t.alpha = g.alpha
	for p0 := g.slab.p0; p0 < g.slab.p1; p0 += g.kc {
		t.k, t.beta = min(g.kc, g.slab.p1-p0), 1
		if p0 == 0 {
			t.beta = g.beta
		}
		if s.directA {
			t.rsa, t.csa = 4*g.a.RS, 4*g.a.CS
		} else {
			s.a = room(s.a, ((i1-i0)/g.mr+1)*ks.panelA(t.k))
			ks.packA(s.a, g.a, g.mr, i0, i1, p0, t.k)
			t.rsa, t.csa = 4, 4*ks.column
		}
		for j := j0; j < j1; j += ks.nr {
			t.cols = min(ks.nr, j1-j)
			f := g.panel(s, j, j0, j1, p0)
			g.down(s, f, i0, i1, j, p0)
		}
	}
	t.a, t.b, t.c, t.d = nil, nil, nil, nil
}

// down computes the tiles of a panel of b.
func (g *product) down(s *scratch, f family, i0, i1, j, p0 int) {
	t := &s.tile
	size := g.ks.panelA(t.k)
	count := (i1 - i0 + g.mr - 1) / g.mr
	ahead := uintptr(0) // from what a tile asks for to what the next one does
	if a := g.aheadInA(s, j); a != 0 {
		t.prefetch, t.prefetchStep = a+uintptr(4*i0*t.k), uintptr(4*g.mr)
		ahead = uintptr(t.k) * t.prefetchStep
	} else if g.modeB != directB {
		t.prefetchStep = (t.prefetchStep + uintptr(count) - 1) / uintptr(count)
		ahead = uintptr(t.k) * t.prefetchStep
	}
	for i := i0; i < i1; i += g.mr {
		if s.directA {
			t.a = unsafe.Pointer(&g.a.Data[i*g.a.RS+p0*g.a.CS])
		} else {
			t.a = unsafe.Pointer(&s.a[(i-i0)/g.mr*size])
		}
		g.tile(s, f, i, j, p0, min(g.mr, i1-i))
		t.prefetch += ahead
	}
}

// aheadInA returns the place of row 0 in what the tiles of the panel of b with column j ask for instead of the next panel, or 0: the rows
// of a below those of the tile, where the panel is the first to read them, or the same rows of the next product's a, after the last panel.
func (g *product) aheadInA(s *scratch, j int) uintptr {
	switch k := s.tile.k; {
	case g.next != 0 && j+g.ks.nr >= g.n:
		return g.next
	case s.directA && j == g.slab.j0 && g.a.CS == 1 && g.a.RS == k:
		return uintptr(unsafe.Pointer(&g.a.Data[0])) + uintptr(4*g.mr*k)
	}
	return 0
}

// panel lets the tile point to the panel of b with column j, from row p0 on, and tells it what to prefetch: rows further down where b is
// read in place, else the panel after this one.
func (g *product) panel(s *scratch, j, j0, j1, p0 int) family {
	ks, t := g.ks, &s.tile
	f := wideF32
	switch g.modeB {
	case directB:
		t.b, t.ldb = unsafe.Pointer(&g.b.Data[p0*g.b.RS+j]), 4*g.b.RS
		t.prefetchDown()
		return ks.family(t.cols)
	case localB:
		wide := ks.panels * ks.nr
		if (j-j0)%wide == 0 {
			s.b = room(s.b, wide*t.k)
			g.packPanels(s.b, ks.nr*t.k, p0, p0+t.k, j, min(j+wide, j1))
		}
		t.b, t.ldb = unsafe.Pointer(&s.b[(j-j0)%wide*t.k]), 4*ks.nr
		t.prefetch = uintptr(t.b) + uintptr(t.k*t.ldb)
	default:
		height := g.panels.height
		at := j*height + p0*ks.nr
		if !g.packed {
			at -= g.slab.j0*height + g.slab.p0*ks.nr
		}
		f = g.panels.f
		if ks.level == generic && f != wideF32 {
			s.b = room(s.b, ks.nr*t.k)
			g.panels.widen(s.b[:ks.nr*t.k], at)
			t.b, t.ldb = unsafe.Pointer(&s.b[0]), 4*ks.nr
			return wideF32
		}
		t.b, t.ldb = g.panels.at(at), 4*ks.nr
		if f != wideF32 {
			t.ldb = 2 * ks.nr
		}
		t.prefetch = uintptr(t.b) + uintptr(height*t.ldb)
	}
	t.prefetchStep = uintptr(t.ldb)
	if f == wideF32 {
		return ks.family(t.cols)
	}
	return f
}

// packPanels brings rows [p0, p1) of the columns [j0, j1) of the right operand into panels, as panelSource does.
func (g *product) packPanels(dst []float32, stride, p0, p1, j0, j1 int) {
	if g.source != nil {
		g.source.packPanels(g.ks, dst, stride, p0, p1, j0, j1)
		return
	}
	g.ks.packB(dst, stride, g.b.Block(p0, j0, p1-p0, j1-j0), 0, p1-p0, 0, j1-j0)
}

func (p *panels) widen(dst []float32, from int) {
	w := Weights{BF16: p.u16}
	if p.f == wideF16 {
		w = Weights{F16: p.u16}
	}
	Widen(dst, w, from)
}

// tile runs the kernel for the tile at (i, j) and the terms from p0 on, through a buffer if c has no contiguous rows or ends inside the
// tile.
func (g *product) tile(s *scratch, f family, i, j, p0, rows int) {
	t := &s.tile
	withBias := p0 == 0 && g.bias != nil
	if g.c.CS == 1 && !g.ks.overhangs(f, t.cols) {
		t.c, t.ldc = unsafe.Pointer(&g.c.Data[i*g.c.RS+j]), 4*g.c.RS
		t.d, t.ldd = t.c, t.ldc
		if withBias {
			t.d, t.ldd = unsafe.Pointer(&g.bias[j]), 0
		}
		g.ks.run(f, t, rows)
		return
	}
	beta := t.beta
	s.c = room(s.c, 14*32)
	t.c, t.ldc, t.beta = unsafe.Pointer(&s.c[0]), 4*32, 0
	g.ks.run(f, t, rows)
	t.beta = beta
	for r := range rows {
		for q, v := range s.c[32*r:][:t.cols] {
			at := (i+r)*g.c.RS + (j+q)*g.c.CS
			switch {
			case withBias:
				v += g.bias[j+q]
			case beta != 0:
				v += beta * g.c.Data[at]
			}
			g.c.Data[at] = v
		}
	}
}
