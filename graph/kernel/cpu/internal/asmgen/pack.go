package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// packers writes the kernels that bring operands into panels.
func packers(c *build.Context) {
	window := maskWindow(c, "packMasks")
	for _, lanes := range []int{8, 16} {
		for _, vecs := range []int{1, 2} {
			copyPanels(c, lanes, vecs, window)
		}
	}
	transpose8(c, window)
	transpose16(c)
}

func isaName(lanes int) string {
	if lanes == 16 {
		return "AVX512"
	}
	return "AVX2"
}

func vecOf(c *build.Context, lanes int) func() reg.VecVirtual {
	if lanes == 16 {
		return c.ZMM
	}
	return c.YMM
}

// copyPanels copies rows of a matrix into panels that lie side by side in it: cols elements of each row go to each panel.
func copyPanels(c *build.Context, lanes, vecs int, window operand.Mem) {
	name := fmt.Sprintf("copyPanels%d%s", vecs*lanes, isaName(lanes))
	begin(c, name, "func(dst *float32, dstRow, dstPanel int, src *float32, srcRow, srcPanel, rows, panels, cols int)",
		fmt.Sprintf("%s copies, of each of rows rows, cols elements (at most %d) into each of panels panels. Strides in bytes.", name, vecs*lanes))
	load := func(p string) reg.GPVirtual { return c.Load(c.Param(p), c.GP64()).(reg.GPVirtual) }
	dst, dstRow, dstPanel := load("dst"), load("dstRow"), load("dstPanel")
	src, srcRow, srcPanel := load("src"), load("srcRow"), load("srcPanel")
	rows, panels, cols := load("rows"), load("panels"), load("cols")
	masked := maskedLoads(c, lanes, vecs, cols, window)
	d, s, n := c.GP64(), c.GP64(), c.GP64()
	c.Label("row")
	c.MOVQ(dst, d)
	c.MOVQ(src, s)
	c.MOVQ(panels, n)
	c.Label("panel")
	c.PREFETCHT0(operand.Mem{Base: s, Index: srcRow, Scale: 4})
	for v := range vecs {
		z := vecOf(c, lanes)()
		masked(operand.Mem{Base: s, Disp: 4 * lanes * v}, z, v)
		c.VMOVUPS(z, operand.Mem{Base: d, Disp: 4 * lanes * v})
	}
	c.ADDQ(dstPanel, d)
	c.ADDQ(srcPanel, s)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("panel"))
	c.ADDQ(dstRow, dst)
	c.ADDQ(srcRow, src)
	c.DECQ(rows)
	c.JNZ(operand.LabelRef("row"))
	c.VZEROUPPER()
	c.RET()
}

// maskedLoads returns a function that loads the v-th vector of cols elements, zeros beyond them.
func maskedLoads(c *build.Context, lanes, vecs int, cols reg.GPVirtual, window operand.Mem) func(m operand.Mem, z reg.VecVirtual, v int) {
	if lanes == 8 {
		at := maskAddress(c, window, cols)
		var masks []reg.VecVirtual
		for v := range vecs {
			masks = append(masks, c.YMM())
			c.VMOVUPS(at.Offset(32*v), masks[v])
		}
		return func(m operand.Mem, z reg.VecVirtual, v int) { c.VMASKMOVPS(m, masks[v], z) }
	}
	bits := c.GP32()
	c.MOVL(operand.I32(-1), bits)
	c.BZHIL(cols.As32(), bits, bits)
	var masks []reg.OpmaskVirtual
	for v := range vecs {
		if v > 0 {
			c.SHRL(operand.U8(16), bits)
		}
		masks = append(masks, c.K())
		c.KMOVW(bits, masks[v])
	}
	return func(m operand.Mem, z reg.VecVirtual, v int) { c.VMOVUPS_Z(m, masks[v], z) }
}

// transposer emits the common part of the transposing packers: blocks of lanes x lanes elements, the last one shorter.
func transposer(c *build.Context, lanes int, masked func(k reg.GPVirtual) func(m operand.Mem, z reg.VecVirtual), transpose func(r []reg.VecVirtual) []reg.VecVirtual) {
	name := "packLines" + isaName(lanes)
	begin(c, name, "func(dst *float32, dstRow int, lines **float32, k int)",
		fmt.Sprintf("%s stores element p of line i at dst + p*dstRow + 4*i for %d lines of k elements.", name, lanes))
	load := func(p string) reg.GPVirtual { return c.Load(c.Param(p), c.GP64()).(reg.GPVirtual) }
	dst, dstRow, lines, k := load("dst"), load("dstRow"), load("lines"), load("k")
	at, line := c.GP64(), c.GP64()
	c.XORQ(at, at)
	block := func(read func(m operand.Mem, z reg.VecVirtual)) []reg.VecVirtual {
		r := make([]reg.VecVirtual, lanes)
		for i := range r {
			r[i] = vecOf(c, lanes)()
			c.MOVQ(operand.Mem{Base: lines, Disp: 8 * i}, line)
			read(operand.Mem{Base: line, Index: at, Scale: 1}, r[i])
		}
		return transpose(r)
	}
	c.SUBQ(operand.U8(lanes), k)
	c.JLT(operand.LabelRef("rest"))
	c.Label("full")
	for _, z := range block(func(m operand.Mem, z reg.VecVirtual) {
		c.VMOVUPS(m, z)
		c.PREFETCHT0(m.Offset(256))
	}) {
		c.VMOVUPS(z, operand.Mem{Base: dst})
		c.ADDQ(dstRow, dst)
	}
	c.ADDQ(operand.U8(4*lanes), at)
	c.SUBQ(operand.U8(lanes), k)
	c.JGE(operand.LabelRef("full"))
	c.Label("rest")
	c.ADDQ(operand.U8(lanes), k)
	c.JZ(operand.LabelRef("done"))
	for _, z := range block(masked(k)) {
		c.VMOVUPS(z, operand.Mem{Base: dst})
		c.ADDQ(dstRow, dst)
		c.DECQ(k)
		c.JZ(operand.LabelRef("done"))
	}
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

func transpose8(c *build.Context, window operand.Mem) {
	masked := func(k reg.GPVirtual) func(m operand.Mem, z reg.VecVirtual) {
		mask := c.YMM()
		c.VMOVUPS(maskAddress(c, window, k), mask)
		return func(m operand.Mem, y reg.VecVirtual) { c.VMASKMOVPS(m, mask, y) }
	}
	transposer(c, 8, masked, func(r []reg.VecVirtual) []reg.VecVirtual {
		u := quads(c, c.YMM, r)
		out := make([]reg.VecVirtual, 8)
		for j := range 4 {
			out[j], out[4+j] = c.YMM(), c.YMM()
			c.VPERM2F128(operand.U8(0x20), u[1][j], u[0][j], out[j])
			c.VPERM2F128(operand.U8(0x31), u[1][j], u[0][j], out[4+j])
		}
		return out
	})
}

func transpose16(c *build.Context) {
	masked := func(k reg.GPVirtual) func(m operand.Mem, z reg.VecVirtual) {
		bits, mask := c.GP32(), c.K()
		c.MOVL(operand.I32(-1), bits)
		c.BZHIL(k.As32(), bits, bits)
		c.KMOVW(bits, mask)
		return func(m operand.Mem, z reg.VecVirtual) { c.VMOVUPS_Z(m, mask, z) }
	}
	transposer(c, 16, masked, func(r []reg.VecVirtual) []reg.VecVirtual {
		u := quads(c, c.ZMM, r)
		out := make([]reg.VecVirtual, 16)
		shuffle := func(imm uint64, a, b reg.VecVirtual) reg.VecVirtual {
			z := c.ZMM()
			c.VSHUFF32X4(operand.U8(imm), b, a, z)
			return z
		}
		for j := range 4 { // lanes 0,2 and 1,3 of each pair of quads, then the same again
			even0, odd0 := shuffle(0x88, u[0][j], u[1][j]), shuffle(0xdd, u[0][j], u[1][j])
			even1, odd1 := shuffle(0x88, u[2][j], u[3][j]), shuffle(0xdd, u[2][j], u[3][j])
			out[j], out[8+j] = shuffle(0x88, even0, even1), shuffle(0xdd, even0, even1)
			out[4+j], out[12+j] = shuffle(0x88, odd0, odd1), shuffle(0xdd, odd0, odd1)
		}
		return out
	})
}

// quads transposes 4x4 blocks inside the 128-bit lanes: lane L of u[g][j] holds element 4L+j of the lines 4g..4g+3.
func quads(c *build.Context, vec func() reg.VecVirtual, r []reg.VecVirtual) [][4]reg.VecVirtual {
	u := make([][4]reg.VecVirtual, len(r)/4)
	for g := range u {
		q := r[4*g : 4*g+4]
		lo0, hi0, lo1, hi1 := vec(), vec(), vec(), vec()
		c.VUNPCKLPS(q[1], q[0], lo0)
		c.VUNPCKHPS(q[1], q[0], hi0)
		c.VUNPCKLPS(q[3], q[2], lo1)
		c.VUNPCKHPS(q[3], q[2], hi1)
		for j := range u[g] {
			u[g][j] = vec()
		}
		c.VUNPCKLPD(lo1, lo0, u[g][0])
		c.VUNPCKHPD(lo1, lo0, u[g][1])
		c.VUNPCKLPD(hi1, hi0, u[g][2])
		c.VUNPCKHPD(hi1, hi0, u[g][3])
	}
	return u
}
