package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowsAVX2 is the height of the largest tile: 6*2 sums, 2 vectors of B and 1 of A fill 15 registers.
const rowsAVX2 = 6

// familiesAVX2 are the kernel families in the order of cpu.family; each has a kernel for every height.
var familiesAVX2 = []struct {
	vecs int
	b    storage
}{{2, f32}, {1, f32}, {2, bf16}, {2, f16}}

func tilesAVX2(c *build.Context) {
	window := maskWindow(c, "tileMasks")
	for _, f := range familiesAVX2 {
		for rows := 1; rows <= rowsAVX2; rows++ {
			g := &tileGen{Context: c, rows: rows, vecs: f.vecs, lanes: 8, b: f.b, vec: c.YMM, window: window}
			g.maskedB, g.storeC = g.maskedAVX2, g.storeColumns
			g.text(tileName("AVX2", rows, 8*f.vecs, f.b))
		}
	}
}

// maskedAVX2 returns the way to load float32 of B, which may come from the matrix itself, no further than its columns go: some of those
// of the last vector.
func (g *tileGen) maskedAVX2() func(mem operand.Mem, v int) {
	last := g.vecs - 1
	mask := g.YMM()
	g.VMOVUPS(maskAddress(g.Context, g.window, g.loadField(tileCols)).Offset(32*last), mask)
	return func(mem operand.Mem, v int) {
		if v < last {
			g.VMOVUPS(mem, g.bVec[v])
			return
		}
		g.VMASKMOVPS(mem, mask, g.bVec[v])
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

// storeColumns stores the tile, or the columns of it that exist.
func (g *tileGen) storeColumns() {
	g.scaled()
	cols := g.loadField(tileCols)
	g.CMPQ(cols, operand.U8(8*g.vecs))
	g.JNE(operand.LabelRef("narrow"))
	g.addD("write", func(i int, d operand.Mem) {
		for v := range g.vecs {
			g.VFMADD231PS(d.Offset(32*v), g.bcast, g.acc[0][i][v])
		}
	})
	g.eachRow(tileC, tileLDC, func(i int, c operand.Mem) {
		for v := range g.vecs {
			g.VMOVUPS(g.acc[0][i][v], c.Offset(32*v))
		}
	})
	g.JMP(operand.LabelRef("done"))
	g.Label("narrow")
	at := maskAddress(g.Context, g.window, cols)
	mask, old := g.bVec, g.YMM()
	for v := range g.vecs {
		g.VMOVUPS(at.Offset(32*v), mask[v])
	}
	g.addD("writeNarrow", func(i int, d operand.Mem) {
		for v := range g.vecs {
			g.VMASKMOVPS(d.Offset(32*v), mask[v], old)
			g.VFMADD231PS(g.bcast, old, g.acc[0][i][v])
		}
	})
	g.storeParts(cols)
	g.Label("done")
}

// storeParts stores 8, 4, 2 and 1 columns as the bits of cols say. (Masked stores take many cycles on some processors.)
func (g *tileGen) storeParts(cols reg.GPVirtual) {
	c, ldc := g.loadField(tileC), g.loadField(tileLDC)
	g.aPtr[0], g.rsa = c, ldc
	if g.rows > 3 {
		g.LEAQ(operand.Mem{Base: ldc, Index: ldc, Scale: 2}, g.rsa3)
	}
	if g.rows > 5 {
		g.LEAQ(operand.Mem{Base: ldc, Index: ldc, Scale: 4}, g.rsa5)
	}
	last := func(i int) reg.VecVirtual { return g.acc[0][i][g.vecs-1] }
	part := func(count int, store func(i int)) {
		skip := fmt.Sprintf("below%d", count)
		g.TESTQ(operand.U32(count), cols)
		g.JZ(operand.LabelRef(skip))
		for i := range g.rows {
			store(i)
		}
		if count > 1 {
			g.ADDQ(operand.U8(4*count), c)
		}
		g.Label(skip)
	}
	if g.vecs == 2 {
		g.TESTQ(operand.U32(8), cols)
		g.JNZ(operand.LabelRef("eight"))
		for i := range g.rows {
			g.VMOVAPS(g.acc[0][i][0], last(i))
		}
		g.JMP(operand.LabelRef("below8"))
		g.Label("eight")
		for i := range g.rows {
			g.VMOVUPS(g.acc[0][i][0], g.row(i))
		}
		g.ADDQ(operand.U8(32), c)
		g.Label("below8")
	}
	part(4, func(i int) {
		g.VMOVUPS(last(i).AsX(), g.row(i))
		g.VEXTRACTF128(operand.U8(1), last(i), last(i).AsX())
	})
	part(2, func(i int) {
		g.VMOVLPS(last(i).AsX(), g.row(i))
		g.VPERMILPS(operand.U8(0x0e), last(i).AsX(), last(i).AsX())
	})
	part(1, func(i int) { g.VMOVSS(last(i).AsX(), g.row(i)) })
}
