package cpu

import (
	"runtime"
	"unsafe"
)

// parallelProduct is a product whose pieces run on several threads.
type parallelProduct struct {
	product
	shared     panels // the slab of b
	rows, cols int    // extents of a piece of c
	high       int    // pieces above each other
	packing    packSlab
	sa, sb     int // strides between the products of a batch
	sc         int
	each       batchItems
}

var idleParallel free[parallelProduct]

// compute splits c into pieces.
func (p *parallelProduct) compute() {
	threads := runtime.GOMAXPROCS(0)
	pack := p.modeB == sharedB && !p.packed
	if pack {
		p.packing.p = p
	}
	for more := p.firstSlab(); more; more = p.nextSlab() {
		if pack {
			p.packing.start()
		}
		width := p.slab.j1 - p.slab.j0
		p.split(6*threads, width)
		p.high = (p.m + p.rows - 1) / p.rows
		parallel(p.high*((width+p.cols-1)/p.cols), 1, p)
	}
}

// lowPiece is how many rows of c let a panel of b be used often enough while it is in the cache.
const lowPiece = 96

// split chooses the extents of the pieces so that there are about count of them. A piece is a whole number of tiles, which keeps the
// order of every sum.
func (p *parallelProduct) split(count, n int) {
	tiles, width := (p.m+p.mr-1)/p.mr, (n+p.ks.nr-1)/p.ks.nr
	high, wide := p.rowsOfBlock()/p.mr, min(width, p.slabColumns(p.slab.p1-p.slab.p0)/p.ks.nr)
	for ((tiles+high-1)/high)*((width+wide-1)/wide) < count {
		switch {
		case high*p.mr > lowPiece && !p.spreadA(): // pieces beside each other pack the same rows of a
			high = (high + 1) / 2
		case wide > 8 || wide > 1 && high <= 4:
			wide = (wide + 1) / 2
		case high > 1:
			high = (high + 1) / 2
		default:
			p.rows, p.cols = high*p.mr, wide*p.ks.nr
			return
		}
	}
	p.rows, p.cols = high*p.mr, wide*p.ks.nr
}

// run computes the pieces [lo, hi). Pieces of the same columns follow each other, while those of b are in the cache.
func (p *parallelProduct) run(lo, hi int) {
	s := idleScratch.get()
	for piece := lo; piece < hi; piece++ {
		i, j := piece%p.high*p.rows, p.slab.j0+piece/p.high*p.cols
		p.block(s, i, min(i+p.rows, p.m), j, min(j+p.cols, p.slab.j1))
	}
	idleScratch.put(s)
}

// packSlab packs columns of b for all pieces. Those above each other follow each other, so that a thread packs what it is about to use.
type packSlab struct {
	p           *parallelProduct
	rows, panel int // extents of a piece: rows and panels
	down        int // pieces above each other
}

func (w *packSlab) start() {
	p, v := w.p, w.p.slab
	p.roomForSlab(&p.shared)
	w.rows, w.panel = 128, 8
	w.down = (v.p1 - v.p0 + w.rows - 1) / w.rows
	pieces := w.down * ((v.j1 - v.j0 + w.panel*p.ks.nr - 1) / (w.panel * p.ks.nr))
	parallel(pieces, 1+16384/(w.rows*w.panel*p.ks.nr), w)
}

func (w *packSlab) run(lo, hi int) {
	p, v := w.p, w.p.slab
	nr, height := p.ks.nr, v.p1-v.p0
	for piece := lo; piece < hi; piece++ {
		p0, j := v.p0+piece%w.down*w.rows, v.j0+piece/w.down*w.panel*nr
		dst := p.shared.f32[(j-v.j0)*height+(p0-v.p0)*nr:]
		p.packPanels(dst, nr*height, p0, min(p0+w.rows, v.p1), j, min(j+w.panel*nr, v.j1))
	}
}

// batch computes n products, each on one thread unless they are few and large.
func (g *product) batch(n, sa, sb, sc int) {
	threads := runtime.GOMAXPROCS(0)
	if threads > 1 && n < 2*threads && g.flops() >= parallelFlops {
		for i := range n {
			q := g.at(i, sa, sb, sc)
			q.compute()
		}
		return
	}
	if threads == 1 || n == 1 || float64(n)*g.flops() < parallelFlops {
		s := idleScratch.get()
		g.items(s, 0, n, sa, sb, sc)
		idleScratch.put(s)
		return
	}
	p := idleParallel.get()
	p.product, p.sa, p.sb, p.sc = *g, sa, sb, sc
	p.each.p = p
	parallel(n, 1+int(parallelFlops/4/g.flops()), &p.each)
	p.product = product{} // keep no operand alive
	idleParallel.put(p)
}

// at returns the i-th product of a batch.
func (g *product) at(i, sa, sb, sc int) product {
	q := *g
	q.a, q.b, q.c = g.a.shift(i*sa), g.b.shift(i*sb), g.c.shift(i*sc)
	return q
}

// items computes the products [lo, hi) of a batch on this thread.
func (g *product) items(s *scratch, lo, hi, sa, sb, sc int) {
	if g.inPlace() {
		g.inPlaceItems(s, lo, hi, sa, sb, sc)
		return
	}
	for i := lo; i < hi; i++ {
		q := g.at(i, sa, sb, sc)
		if i+1 < hi && sa == g.m*g.k && g.kc == g.k {
			q.next = uintptr(unsafe.Pointer(&q.a.Data[sa]))
		}
		q.sequential(s)
	}
}

// batchItems computes products of a batch.
type batchItems struct{ p *parallelProduct }

func (w *batchItems) run(lo, hi int) {
	s := idleScratch.get()
	w.p.items(s, lo, hi, w.p.sa, w.p.sb, w.p.sc)
	idleScratch.put(s)
}
