package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowSums writes the kernels for one or two rows of C and a B stored by rows, which add multiples of whole rows of B. They are limited by
// memory, so AVX2 serves both levels.
func rowSums(c *build.Context) {
	window := maskWindow(c, "rowMasks")
	for rows := 1; rows <= 2; rows++ {
		for _, terms := range []int{1, 4} {
			(&rowGen{Context: c, rows: rows, terms: terms}).text(window)
		}
	}
}

// rowGen emits one kernel. The fields of the tile have their meaning, with any number of columns; k is known to be terms.
type rowGen struct {
	*build.Context
	rows, terms int
	t           reg.Register
	b           [4]reg.GPVirtual
	below       reg.GPVirtual // stride to the terms of the next call
	c           [2]reg.GPVirtual
	a           [2][4]reg.VecVirtual // alpha*a
	beta        reg.VecVirtual
}

func (g *rowGen) load(off int) reg.GPVirtual {
	r := g.GP64()
	g.MOVQ(operand.Mem{Base: g.t, Disp: off}, r)
	return r
}

func (g *rowGen) text(window operand.Mem) {
	name := fmt.Sprintf("rows%dx%d", g.rows, g.terms)
	begin(g.Context, name, "func(t *byte)", fmt.Sprintf("%s adds multiples of %d rows of B to %d rows of C.", name, g.terms, g.rows))
	g.t = g.Load(g.Param("t"), g.GP64())
	g.coefficients()
	g.pointers()
	g.beta = g.YMM()
	g.VBROADCASTSS(operand.Mem{Base: g.t, Disp: tileBeta}, g.beta)
	cols, beta := g.load(tileCols), g.GP32()
	g.MOVL(operand.Mem{Base: g.t, Disp: tileBeta}, beta)
	g.ADDL(beta, beta)
	g.JZ(operand.LabelRef("fresh"))
	g.columns("Add", cols, window, true)
	g.Label("fresh")
	g.columns("Fresh", cols, window, false)
}

// coefficients brings alpha*a into registers.
func (g *rowGen) coefficients() {
	at, rsa, csa := g.load(tileA), g.load(tileRSA), g.load(tileCSA)
	alpha := g.YMM()
	g.VBROADCASTSS(operand.Mem{Base: g.t, Disp: tileAlpha}, alpha)
	for p := range g.terms {
		m := operand.Mem{Base: at}
		for i := range g.rows {
			g.a[i][p] = g.YMM()
			g.VBROADCASTSS(m, g.a[i][p])
			g.VMULPS(alpha, g.a[i][p], g.a[i][p])
			m.Index, m.Scale = rsa, 1
		}
		if p+1 < g.terms {
			g.ADDQ(csa, at)
		}
	}
}

func (g *rowGen) pointers() {
	ldb := g.load(tileLDB)
	g.b[0], g.c[0] = g.load(tileB), g.load(tileC)
	for p := 1; p < g.terms; p++ {
		g.b[p] = g.GP64()
		g.LEAQ(operand.Mem{Base: g.b[p-1], Index: ldb, Scale: 1}, g.b[p])
	}
	g.below = g.GP64()
	g.MOVQ(ldb, g.below)
	if g.terms == 4 {
		g.SHLQ(operand.U8(2), g.below)
	}
	if g.rows == 2 {
		g.c[1] = g.load(tileLDC)
		g.ADDQ(g.c[0], g.c[1])
	}
}

// columns emits the way across, which reads C first or not, and the end of the function.
func (g *rowGen) columns(name string, cols reg.GPVirtual, window operand.Mem, old bool) {
	g.SUBQ(operand.U8(16), cols)
	g.JLT(operand.LabelRef("rest" + name))
	g.Label("turn" + name)
	g.step(2, nil, old)
	g.SUBQ(operand.U8(16), cols)
	g.JGE(operand.LabelRef("turn" + name))
	g.Label("rest" + name)
	g.ADDQ(operand.U8(8), cols)
	g.JLT(operand.LabelRef("last" + name))
	g.step(1, nil, old)
	g.SUBQ(operand.U8(8), cols)
	g.Label("last" + name)
	g.ADDQ(operand.U8(8), cols)
	g.JZ(operand.LabelRef("end" + name))
	mask := g.YMM()
	g.VMOVUPS(maskAddress(g.Context, window, cols), mask)
	g.step(1, mask, old)
	g.Label("end" + name)
	g.VZEROUPPER()
	g.RET()
}

// step computes vecs vectors of each row of C, or the columns in mask, and moves on. It asks for the rows of B that the next call reads.
func (g *rowGen) step(vecs int, mask reg.VecVirtual, old bool) {
	load := func(m operand.Mem, y reg.VecVirtual) {
		if mask == nil {
			g.VMOVUPS(m, y)
		} else {
			g.VMASKMOVPS(m, mask, y)
		}
	}
	var acc [2][2]reg.VecVirtual
	for i := range g.rows {
		for v := range vecs {
			acc[i][v] = g.YMM()
			if old {
				load(operand.Mem{Base: g.c[i], Disp: 32 * v}, acc[i][v])
				g.VMULPS(g.beta, acc[i][v], acc[i][v])
			} else {
				g.VXORPS(acc[i][v], acc[i][v], acc[i][v])
			}
		}
	}
	b := g.YMM()
	for p := range g.terms {
		g.PREFETCHT0(operand.Mem{Base: g.b[p], Index: g.below, Scale: 1})
		for v := range vecs {
			load(operand.Mem{Base: g.b[p], Disp: 32 * v}, b)
			for i := range g.rows {
				g.VFMADD231PS(g.a[i][p], b, acc[i][v])
			}
		}
		g.ADDQ(operand.U8(32*vecs), g.b[p])
	}
	for i := range g.rows {
		for v := range vecs {
			m := operand.Mem{Base: g.c[i], Disp: 32 * v}
			if mask == nil {
				g.VMOVUPS(acc[i][v], m)
			} else {
				g.VMASKMOVPS(acc[i][v], mask, m)
			}
		}
		g.ADDQ(operand.U8(32*vecs), g.c[i])
	}
}
