package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// rowsAVX512 is the height of the largest tile: 14*2 sums, 2 vectors of B and 1 of A fill 31 registers.
const rowsAVX512 = 14

// familiesAVX512 are the kernel families in the order of cpu.family; each has a kernel for every height.
var familiesAVX512 = []struct {
	vecs int
	b    storage
}{{2, f32}, {1, f32}, {2, bf16}, {2, f16}}

func tilesAVX512(c *build.Context) {
	for _, f := range familiesAVX512 {
		for rows := 1; rows <= rowsAVX512; rows++ {
			g := &tileGen{Context: c, rows: rows, vecs: f.vecs, lanes: 16, b: f.b, vec: c.ZMM}
			g.maskedB, g.storeC = g.maskedAVX512, g.storeMasked
			g.text(tileName("AVX512", rows, 16*f.vecs, f.b))
		}
	}
}

func tileName(isa string, rows, cols int, b storage) string {
	return fmt.Sprintf("tile%dx%d%s%s", rows, cols, b.name, isa)
}

// masks makes the opmasks of the columns that exist.
func (g *tileGen) masks() {
	bits, cols := g.GP32(), g.GP32()
	g.MOVL(g.field(tileCols), cols)
	g.MOVL(operand.I32(-1), bits)
	g.BZHIL(cols, bits, bits)
	for v := range g.vecs {
		if v > 0 {
			g.SHRL(operand.U8(16), bits)
		}
		m := g.K()
		g.KMOVW(bits, m)
		g.mask = append(g.mask, m)
	}
}

// maskedAVX512 returns the way to load float32 of B, which may come from the matrix itself, no further than its columns go.
func (g *tileGen) maskedAVX512() func(mem operand.Mem, v int) {
	return func(mem operand.Mem, v int) { g.VMOVUPS_Z(mem, g.mask[v], g.bVec[v]) }
}

// pairsAVX512 returns the way to load a row of bfloat16 in which words of 32 bits hold one element of either vector: two operations
// where widening them one by one takes four, which all compete with the multiply-adds.
func (g *tileGen) pairsAVX512() func(mem operand.Mem, v int) {
	high, bits := g.ZMM(), g.GP32()
	g.MOVL(operand.U32(0xffff0000), bits)
	g.VPBROADCASTD(bits, high)
	return func(mem operand.Mem, v int) {
		if v == 0 {
			g.VMOVUPS(mem, g.bVec[1])
			g.VPSLLD(operand.U8(16), g.bVec[1], g.bVec[0])
			return
		}
		g.VPANDD(high, g.bVec[1], g.bVec[1])
	}
}

func (g *tileGen) storeMasked() {
	g.scaled()
	if g.mask == nil {
		g.masks()
	}
	g.addD("write", func(i int, d operand.Mem) {
		for v := range g.vecs {
			g.VMOVUPS_Z(d.Offset(64*v), g.mask[v], g.bVec[v])
			g.VFMADD231PS(g.bcast, g.bVec[v], g.acc[0][i][v])
		}
	})
	g.eachRow(tileC, tileLDC, func(i int, c operand.Mem) {
		for v := range g.vecs {
			g.VMOVUPS(g.acc[0][i][v], g.mask[v], c.Offset(64*v))
		}
	})
}
