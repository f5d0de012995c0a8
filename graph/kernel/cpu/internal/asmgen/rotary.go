package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// rotation writes the turn of the pairs of several heads, 8 pairs of each head after the other so that their angles stay in registers.
// Distances are in bytes.
func rotation(c *build.Context) {
	begin(c, "rotateSteps", "func(dst, src, cos, sin *float32, sign float32, n, partner, heads, stride int)",
		"rotateSteps turns n pairs, a multiple of 8, of elements partner bytes apart in each of heads vectors stride bytes apart.")
	dst, src := c.Load(c.Param("dst"), c.GP64()), c.Load(c.Param("src"), c.GP64())
	cosines, sines := c.Load(c.Param("cos"), c.GP64()), c.Load(c.Param("sin"), c.GP64())
	n, partner := c.Load(c.Param("n"), c.GP64()), c.Load(c.Param("partner"), c.GP64())
	heads, stride := c.Load(c.Param("heads"), c.GP64()), c.Load(c.Param("stride"), c.GP64())
	sign := (&loop{Context: c}).scalar("sign")

	c.Label("angles")
	cos, sin := c.YMM(), c.YMM()
	c.VMOVUPS(operand.Mem{Base: cosines}, cos)
	c.VMULPS(operand.Mem{Base: sines}, sign, sin)
	to, from, left := c.GP64(), c.GP64(), c.GP64()
	c.MOVQ(dst, to)
	c.MOVQ(src, from)
	c.MOVQ(heads, left)

	c.Label("head")
	u, v, x, y := c.YMM(), c.YMM(), c.YMM(), c.YMM()
	c.VMOVUPS(operand.Mem{Base: from}, u)
	c.VMOVUPS(operand.Mem{Base: from, Index: partner, Scale: 1}, v)
	c.VMULPS(cos, u, x)
	c.VMULPS(cos, v, y)
	c.VFNMADD231PS(sin, v, x)
	c.VFMADD231PS(sin, u, y)
	c.VMOVUPS(x, operand.Mem{Base: to})
	c.VMOVUPS(y, operand.Mem{Base: to, Index: partner, Scale: 1})
	c.ADDQ(stride, from)
	c.ADDQ(stride, to)
	c.DECQ(left)
	c.JNZ(operand.LabelRef("head"))

	for _, p := range []operand.Op{dst, src, cosines, sines} {
		c.ADDQ(operand.U8(32), p)
	}
	c.SUBQ(operand.U8(8), n)
	c.JNZ(operand.LabelRef("angles"))
	c.VZEROUPPER()
	c.RET()
}
