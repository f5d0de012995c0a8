package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotTiles writes the kernels for few rows of A and a B stored by columns: each element of C is an inner product of two contiguous
// vectors. They are limited by memory, so AVX2 serves both levels.
func dotTiles(c *build.Context) {
	window := maskWindow(c, "dotMasks")
	for rows := 1; rows <= 3; rows++ {
		for _, cols := range []int{1, 4} {
			(&dotGen{Context: c, rows: rows, cols: cols}).text(window)
		}
	}
}

// dotGen emits one kernel. The fields of the tile have their meaning, with rsa the stride between rows of A and ldb that between
// columns of B.
type dotGen struct {
	*build.Context
	rows, cols int
	t          reg.Register
	a          [3]reg.GPVirtual
	b          [4]reg.GPVirtual
	acc        [3][4]reg.VecVirtual
}

func (g *dotGen) load(off int) reg.GPVirtual {
	r := g.GP64()
	g.MOVQ(operand.Mem{Base: g.t, Disp: off}, r)
	return r
}

func (g *dotGen) text(window operand.Mem) {
	name := fmt.Sprintf("dots%dx%d", g.rows, g.cols)
	begin(g.Context, name, "func(t *byte)", fmt.Sprintf("%s computes %d rows and %d columns of C as inner products.", name, g.rows, g.cols))
	g.t = g.Load(g.Param("t"), g.GP64())
	k := g.load(tileK)
	g.pointers()
	for i := range g.rows {
		for j := range g.cols {
			g.acc[i][j] = g.YMM()
			g.VXORPS(g.acc[i][j], g.acc[i][j], g.acc[i][j])
		}
	}
	at := g.GP64()
	g.XORQ(at, at)
	g.SUBQ(operand.U8(8), k)
	g.JLT(operand.LabelRef("rest"))
	g.Label("full")
	g.step(at)
	g.ADDQ(operand.U8(32), at)
	g.SUBQ(operand.U8(8), k)
	g.JGE(operand.LabelRef("full"))
	g.Label("rest")
	g.ADDQ(operand.U8(8), k)
	g.JZ(operand.LabelRef("store"))
	mask := g.YMM()
	g.VMOVUPS(maskAddress(g.Context, window, k), mask)
	g.lastStep(at, mask)
	g.Label("store")
	g.store()
	g.VZEROUPPER()
	g.RET()
}

func (g *dotGen) pointers() {
	g.a[0], g.b[0] = g.load(tileA), g.load(tileB)
	if g.rows > 1 {
		rsa := g.load(tileRSA)
		for i := 1; i < g.rows; i++ {
			g.a[i] = g.GP64()
			g.LEAQ(operand.Mem{Base: g.a[i-1], Index: rsa, Scale: 1}, g.a[i])
		}
	}
	if g.cols == 4 {
		ldb := g.load(tileLDB)
		for j := 1; j < 4; j++ {
			g.b[j] = g.GP64()
			g.LEAQ(operand.Mem{Base: g.b[j-1], Index: ldb, Scale: 1}, g.b[j])
		}
	}
}

// step adds the products of 8 elements.
func (g *dotGen) step(at reg.Register) {
	var a [3]reg.VecVirtual
	for i := range g.rows {
		a[i] = g.YMM()
		g.VMOVUPS(operand.Mem{Base: g.a[i], Index: at, Scale: 1}, a[i])
	}
	b := g.YMM()
	for j := range g.cols {
		m := operand.Mem{Base: g.b[j], Index: at, Scale: 1}
		g.PREFETCHT0(m.Offset(512))
		g.VMOVUPS(m, b)
		for i := range g.rows {
			g.VFMADD231PS(a[i], b, g.acc[i][j])
		}
	}
}

// lastStep adds the products of the elements in mask. It reads B once for each row of A: there are not registers enough for all of A.
func (g *dotGen) lastStep(at reg.Register, mask reg.VecVirtual) {
	a, b := g.YMM(), g.YMM()
	for i := range g.rows {
		g.VMASKMOVPS(operand.Mem{Base: g.a[i], Index: at, Scale: 1}, mask, a)
		for j := range g.cols {
			g.VMASKMOVPS(operand.Mem{Base: g.b[j], Index: at, Scale: 1}, mask, b)
			g.VFMADD231PS(a, b, g.acc[i][j])
		}
	}
}

// store adds up the lanes and writes alpha*sum + beta*c.
func (g *dotGen) store() {
	c, ldc := g.load(tileC), g.load(tileLDC)
	for i := range g.rows {
		for j := range g.cols {
			high := g.XMM()
			g.VEXTRACTF128(operand.U8(1), g.acc[i][j], high)
			g.VADDPS(high, g.acc[i][j].AsX(), g.acc[i][j].AsX())
		}
		s := g.acc[i]
		for n := g.cols; n > 1; n /= 2 {
			for j := range n / 2 {
				g.VHADDPS(s[2*j+1].AsX(), s[2*j].AsX(), s[j].AsX())
			}
		}
		if g.cols == 1 {
			g.VHADDPS(s[0].AsX(), s[0].AsX(), s[0].AsX())
			g.VHADDPS(s[0].AsX(), s[0].AsX(), s[0].AsX())
		}
		g.storeRow(i, s[0].AsX(), operand.Mem{Base: c})
		if i+1 < g.rows {
			g.ADDQ(ldc, c)
		}
	}
}

func (g *dotGen) storeRow(i int, sum reg.Register, c operand.Mem) {
	done := fmt.Sprintf("done%d", i)
	scale, old := g.XMM(), g.XMM()
	g.VBROADCASTSS(operand.Mem{Base: g.t, Disp: tileAlpha}, scale)
	g.VMULPS(scale, sum, sum)
	beta := g.GP32()
	g.MOVL(operand.Mem{Base: g.t, Disp: tileBeta}, beta)
	g.ADDL(beta, beta)
	g.JZ(operand.LabelRef(done))
	g.VBROADCASTSS(operand.Mem{Base: g.t, Disp: tileBeta}, scale)
	if g.cols == 1 {
		g.VMOVSS(c, old)
	} else {
		g.VMOVUPS(c, old)
	}
	g.VFMADD231PS(scale, old, sum)
	g.Label(done)
	if g.cols == 1 {
		g.VMOVSS(sum, c)
	} else {
		g.VMOVUPS(sum, c)
	}
}
