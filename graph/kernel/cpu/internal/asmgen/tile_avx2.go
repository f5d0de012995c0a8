package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowsAVX2 is the height of the largest tile: 6*2 sums, 2 vectors of B and 1 of A fill 15 registers.
const rowsAVX2 = 6

// familiesAVX2 are the kernel families in the order of cpu.family; there is no narrow one, so the wide one stands in.
var familiesAVX2 = []storage{f32, f32, bf16, f16}

func tilesAVX2(c *build.Context) {
	window := maskWindow(c, "tileMasks")
	for _, b := range []storage{f32, bf16, f16} {
		for rows := 1; rows <= rowsAVX2; rows++ {
			g := &tileGen{Context: c, rows: rows, vecs: 2, lanes: 8, b: b, vec: c.YMM}
			g.loadB = g.widen
			g.storeC = func() { g.storeColumns(window) }
			g.text(tileName("AVX2", rows, 16, b))
		}
	}
}

// maskWindow defines 16 words of ones followed by 16 of zeros: the 16 words from 16-n are a mask of the first n.
func maskWindow(c *build.Context, name string) operand.Mem {
	m := c.StaticGlobal(name)
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 32 {
		bits := ^uint32(0)
		if i >= 16 {
			bits = 0
		}
		c.AddDatum(4*i, operand.U32(bits))
	}
	return m
}

// maskAddress returns the address of the mask of the first n of 16 words.
func maskAddress(c *build.Context, window operand.Mem, n reg.GPVirtual) operand.Mem {
	p, skip := c.GP64(), c.GP64()
	c.LEAQ(window, p)
	c.MOVQ(operand.U32(16), skip)
	c.SUBQ(n, skip)
	return operand.Mem{Base: p, Index: skip, Scale: 4}
}

func (g *tileGen) storeColumns(window operand.Mem) {
	g.scaled()
	cols := g.loadField(tileCols)
	g.CMPQ(cols, operand.U8(16))
	g.JNE(operand.LabelRef("narrow"))
	g.testBeta("add")
	g.eachRow(func(i int, c operand.Mem) {
		for v := range 2 {
			g.VMOVUPS(g.acc[0][i][v], c.Offset(32*v))
		}
	})
	g.JMP(operand.LabelRef("done"))
	g.Label("add")
	g.VBROADCASTSS(g.field(tileBeta), g.bcast)
	g.eachRow(func(i int, c operand.Mem) {
		for v := range 2 {
			g.VFMADD231PS(c.Offset(32*v), g.bcast, g.acc[0][i][v])
			g.VMOVUPS(g.acc[0][i][v], c.Offset(32*v))
		}
	})
	g.JMP(operand.LabelRef("done"))
	g.Label("narrow")
	at := maskAddress(g.Context, window, cols)
	mask := g.bVec
	for v := range 2 {
		g.VMOVUPS(at.Offset(32*v), mask[v])
	}
	g.testBeta("addNarrow")
	g.eachRow(func(i int, c operand.Mem) {
		for v := range 2 {
			g.VMASKMOVPS(g.acc[0][i][v], mask[v], c.Offset(32*v))
		}
	})
	g.JMP(operand.LabelRef("done"))
	g.Label("addNarrow")
	g.VBROADCASTSS(g.field(tileBeta), g.bcast)
	old := g.YMM()
	g.eachRow(func(i int, c operand.Mem) {
		for v := range 2 {
			g.VMASKMOVPS(c.Offset(32*v), mask[v], old)
			g.VFMADD231PS(g.bcast, old, g.acc[0][i][v])
			g.VMASKMOVPS(g.acc[0][i][v], mask[v], c.Offset(32*v))
		}
	})
	g.Label("done")
}
