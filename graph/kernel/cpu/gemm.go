package cpu

import (
	"fmt"
	"runtime"
)

// Gemm computes c = alpha*a*b + beta*c for matrices with any strides. With beta == 0 it only writes c, which may hold NaN before; with
// alpha == 0 it reads neither a nor b. c must not overlap a or b. Cost: 2*m*n*k operations, split over threads when that pays.
func Gemm(alpha float32, a, b Mat, beta float32, c Mat) { gemm(alpha, a, b, beta, nil, c) }

// GemmBias computes c = alpha*a*b and adds bias, which has an element for each column and does not overlap c, to every row while it
// writes c. Otherwise it is like Gemm with beta == 0.
func GemmBias(alpha float32, a, b Mat, bias []float32, c Mat) {
	checkBias(bias, c)
	gemm(alpha, a, b, 1, bias, c)
}

// gemm computes alpha*a*b + beta*c, or, with a bias and beta == 1, alpha*a*b with the bias in every row.
func gemm(alpha float32, a, b Mat, beta float32, bias []float32, c Mat) {
	checkProduct(a, b.Rows, b.Cols, c)
	b.check("b")
	if trivial(alpha, a.Cols, beta, bias, c) {
		return
	}
	g := newProduct(alpha, a, b, beta, c)
	g.plan()
	if bias != nil && (g.ks.flipped(a, c) || g.modeB == dotB || g.modeB == rowB) { // these add to what c holds
		fillRows(c, bias)
	} else {
		g.bias = bias
	}
	g.compute()
}

// GemmPacked is Gemm with a right operand that was packed before.
func GemmPacked(alpha float32, a Mat, b *PackedB, beta float32, c Mat) {
	gemmPacked(alpha, a, b, beta, nil, c)
}

// GemmPackedBias is GemmBias with a right operand that was packed before.
func GemmPackedBias(alpha float32, a Mat, b *PackedB, bias []float32, c Mat) {
	checkBias(bias, c)
	gemmPacked(alpha, a, b, 1, bias, c)
}

func gemmPacked(alpha float32, a Mat, b *PackedB, beta float32, bias []float32, c Mat) {
	checkProduct(a, b.rows, b.cols, c)
	if trivial(alpha, a.Cols, beta, bias, c) {
		return
	}
	g := product{ks: b.ks, m: c.Rows, n: c.Cols, k: a.Cols, alpha: alpha, beta: beta, bias: bias, a: a, c: c, panels: b.panels, packed: true}
	g.plan()
	g.compute()
}

// GemmBatch computes n independent products; the operands of each are sa, sb and sc elements after those of the one before. A stride
// of 0 uses the same a or b for all. The products must not overlap in c.
func GemmBatch(n int, alpha float32, a, b Mat, beta float32, c Mat, sa, sb, sc int) {
	if n <= 0 {
		return
	}
	checkProduct(a, b.Rows, b.Cols, c)
	last := n - 1
	a.shift(last * sa).check("a")
	b.shift(last * sb).check("b")
	c.shift(last * sc).check("c")
	if a.Cols == 0 || alpha == 0 || c.Rows == 0 || c.Cols == 0 {
		for i := range n {
			trivial(alpha, a.Cols, beta, nil, c.shift(i*sc))
		}
		return
	}
	g := newProduct(alpha, a, b, beta, c)
	g.plan()
	if g.ks.flipped(a, c) {
		sa, sb = sb, sa
	}
	g.batch(n, sa, sb, sc)
}

func checkProduct(a Mat, bRows, bCols int, c Mat) {
	if a.Cols != bRows || a.Rows != c.Rows || bCols != c.Cols {
		panic(fmt.Sprintf("cpu: product of %dx%d and %dx%d into %dx%d", a.Rows, a.Cols, bRows, bCols, c.Rows, c.Cols))
	}
	a.check("a")
	c.check("c")
}

func checkBias(bias []float32, c Mat) {
	if len(bias) != c.Cols {
		panic(fmt.Sprintf("cpu: bias of %d elements for %d columns", len(bias), c.Cols))
	}
}

// trivial handles products without terms and reports whether it did.
func trivial(alpha float32, k int, beta float32, bias []float32, c Mat) bool {
	if c.Rows == 0 || c.Cols == 0 {
		return true
	}
	if k > 0 && alpha != 0 {
		return false
	}
	if bias != nil {
		fillRows(c, bias)
		return true
	}
	for i := range c.Rows {
		for j := range c.Cols {
			if p := &c.Data[i*c.RS+j*c.CS]; beta == 0 {
				*p = 0
			} else {
				*p *= beta
			}
		}
	}
	return true
}

// fillRows copies row into every row of c.
func fillRows(c Mat, row []float32) {
	for i := range c.Rows {
		if c.CS == 1 {
			copy(c.Data[i*c.RS:], row)
			continue
		}
		for j, v := range row {
			c.Data[i*c.RS+j*c.CS] = v
		}
	}
}

// shift returns the view n elements further on.
func (m Mat) shift(n int) Mat {
	if m.Rows > 0 && m.Cols > 0 {
		m.Data = m.Data[n:]
	}
	return m
}

// flipped reports whether a product is computed as the transposed one: because that has contiguous rows of c, or because a single
// column is better a single row, or because few columns of c take a tall a that is stored by columns, which then is read by whole rows,
// as b. The last is the gradient of a low-rank factor.
func (ks *kernels) flipped(a, c Mat) bool {
	switch {
	case c.Rows <= 1:
		return false
	case c.Cols == 1 || c.CS != 1 && c.RS == 1:
		return true
	}
	return a.RS == 1 && c.CS == 1 && c.Cols <= ks.tallCols && c.Rows >= 4*c.Cols && a.Cols >= 256
}

// newProduct returns the product of operands that are not empty, or its transpose.
func newProduct(alpha float32, a, b Mat, beta float32, c Mat) product {
	ks := currentKernels()
	if ks.flipped(a, c) {
		a, b, c = b.T(), a.T(), c.T()
	}
	// The stride along an axis of extent 1 means nothing.
	if c.Cols == 1 {
		b.CS, c.CS = 1, 1
	}
	if a.Cols == 1 {
		a.CS = 1
	}
	return product{ks: ks, m: c.Rows, n: c.Cols, k: a.Cols, alpha: alpha, beta: beta, a: a, b: b, c: c}
}

// parallelFlops is how many operations make it worth to wake other threads, nestedFlops while these are likely busy with another loop.
const (
	parallelFlops = 2e6
	nestedFlops   = 5e7
)

func (g *product) flops() float64 { return 2 * float64(g.m) * float64(g.n) * float64(g.k) }

// compute runs the product, on several threads if it is large.
func (g *product) compute() {
	if f := g.flops(); f < parallelFlops || f < nestedFlops && loops.Load() > 0 || runtime.GOMAXPROCS(0) == 1 {
		s := idleScratch.get()
		g.items(s, 0, 1, 0, 0, 0)
		idleScratch.put(s)
		return
	}
	p := idleParallel.get()
	p.product = *g
	p.compute()
	p.product = product{} // keep no operand alive
	idleParallel.put(p)
}

// sequential computes the whole product on this thread.
func (g *product) sequential(s *scratch) {
	for more := g.firstSlab(); more; more = g.nextSlab() {
		if g.modeB == sharedB && !g.packed {
			g.roomForSlab(&s.shared)
			v := g.slab
			g.packPanels(s.shared.f32, g.ks.nr*(v.p1-v.p0), v.p0, v.p1, v.j0, v.j1)
		}
		rows := g.rowsOfBlock()
		for i := 0; i < g.m; i += rows {
			g.block(s, i, min(i+rows, g.m), g.slab.j0, g.slab.j1)
		}
	}
}

// roomForSlab lets the product use p for the slab.
func (g *product) roomForSlab(p *panels) {
	p.height = g.slab.p1 - g.slab.p0
	p.f32 = room(p.f32, p.height*roundUp(g.slab.j1-g.slab.j0, g.ks.nr))
	g.panels = *p
}

// firstSlab begins a walk over b in slabs. With the whole of b at hand there is one.
func (g *product) firstSlab() bool {
	g.slab = slab{p1: g.k, j1: g.n}
	if g.modeB == sharedB && g.ks.perK {
		g.slab.p1 = g.kc
	}
	if g.modeB == sharedB && !g.packed {
		g.slab.j1 = min(g.n, g.slabColumns(g.slab.p1))
	}
	return true
}

// slabColumns returns how many columns of the given height are packed at a time: where rows of a are read in place anyway, few enough
// that they stay in the cache.
func (g *product) slabColumns(height int) int {
	nr, most := g.ks.nr, slabFloats/height
	if g.ks.directCols > 0 && g.spreadA() && height >= highSlab {
		most = min(most, g.ks.directCols)
	}
	return max(nr, most/nr*nr)
}

// nextSlab goes on to the rows below, then to the columns beside, and reports whether there are any.
func (g *product) nextSlab() bool {
	v := &g.slab
	if v.p1 < g.k {
		v.p0, v.p1 = v.p1, min(v.p1+g.kc, g.k)
		return true
	}
	if v.j1 < g.n {
		width, height := v.j1-v.j0, g.k
		if g.ks.perK {
			height = g.kc
		}
		*v = slab{0, height, v.j1, min(v.j1+width, g.n)}
		return true
	}
	return false
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
