package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// patchPackers writes the kernels that gather the patches of an image into panels of 16 columns, and of 32 for AVX-512, with AVX2 for
// both levels: loads limit them.
func patchPackers(c *build.Context) {
	for _, nr := range []int{16, 32} {
		packPatches(c, nr)
	}
}

// patchRunBytes is the size of cpu.patchRun: where its pixels start, and masks for 32 columns.
const patchRunBytes = 8 + 4*32

func packPatches(c *build.Context, nr int) {
	name := fmt.Sprintf("packPatches%dAVX2", nr)
	begin(c, name, "func(dst, channel *float32, size int, runs *int, each, taps, tap, rows int)",
		name+" fills rows rows of a panel, from tap tap of the taps of a channel of size bytes on, from the each runs of each tap.")
	load := func(p string, r reg.GPVirtual) reg.GPVirtual { return c.Load(c.Param(p), r).(reg.GPVirtual) }
	dst, channel, size, rows := load("dst", c.GP64()), load("channel", c.GP64()), load("size", c.GP64()), load("rows", c.GP64())
	at, each, left, from := c.GP64(), c.GP64(), c.GP64(), c.GP64()
	var acc []reg.VecVirtual
	for range nr / 8 {
		acc = append(acc, c.YMM())
	}
	// The first row starts in the middle of a channel.
	tap := load("tap", c.GP64())
	load("each", each)
	load("taps", left)
	c.SUBQ(tap, left)
	c.IMULQ(each, tap)
	c.IMUL3Q(operand.I32(patchRunBytes), tap, tap)
	load("runs", at)
	c.ADDQ(tap, at)
	c.Label("row")
	for _, a := range acc {
		c.VXORPS(a, a, a)
	}
	load("each", each)
	c.Label("run")
	c.MOVQ(operand.Mem{Base: at}, from)
	c.ADDQ(channel, from)
	for v, a := range acc {
		mask, pixels := c.YMM(), c.YMM()
		c.VMOVUPS(operand.Mem{Base: at, Disp: 8 + 32*v}, mask)
		c.VMASKMOVPS(operand.Mem{Base: from, Disp: 32 * v}, mask, pixels)
		c.VORPS(pixels, a, a)
	}
	c.ADDQ(operand.I32(patchRunBytes), at)
	c.DECQ(each)
	c.JNZ(operand.LabelRef("run"))
	for v, a := range acc {
		c.VMOVUPS(a, operand.Mem{Base: dst, Disp: 32 * v})
	}
	c.ADDQ(operand.I32(4*nr), dst)
	c.DECQ(left)
	c.JNZ(operand.LabelRef("next"))
	load("taps", left)
	load("runs", at)
	c.ADDQ(size, channel)
	c.Label("next")
	c.DECQ(rows)
	c.JNZ(operand.LabelRef("row"))
	c.VZEROUPPER()
	c.RET()
}
