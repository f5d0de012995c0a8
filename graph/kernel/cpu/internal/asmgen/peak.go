package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peakRounds is how many multiply-adds of each chain a turn of the loop has.
const peakRounds = 4 // as in package cpu

// peaks writes the loops that measure the rate of fused multiply-adds. Two ports of 4 to 5 cycles of latency want 10 independent chains;
// there are as many as fit beside the two factors in the registers, or 24.
func peaks(c *build.Context) {
	peak(c, "AVX2", 12, c.YMM)
	peak(c, "AVX512", 24, c.ZMM)
}

// peak emits one loop. The sums are stored, so that nobody can call the work useless.
func peak(c *build.Context, level string, chains int, vec func() reg.VecVirtual) {
	name := "peak" + level
	begin(c, name, "func(x *float32, n int)", fmt.Sprintf("%s does n turns of %d multiply-adds in each of %d chains of vectors; x has 2 values, then room for a vector.",
		name, peakRounds, chains))
	x := c.Load(c.Param("x"), c.GP64())
	n := c.Load(c.Param("n"), c.GP64())
	a, b := vec(), vec()
	c.VBROADCASTSS(operand.Mem{Base: x}, a)
	c.VBROADCASTSS(operand.Mem{Base: x, Disp: 4}, b)
	acc := make([]reg.VecVirtual, chains)
	for i := range acc {
		acc[i] = vec()
		c.VMOVUPS(a, acc[i])
	}
	c.Label("loop")
	for range peakRounds {
		for _, z := range acc {
			c.VFMADD231PS(a, b, z)
		}
	}
	c.DECQ(n)
	c.JNZ(operand.LabelRef("loop"))
	for _, z := range acc[1:] {
		c.VADDPS(z, acc[0], acc[0])
	}
	c.VMOVUPS(acc[0], operand.Mem{Base: x, Disp: 8})
	c.VZEROUPPER()
	c.RET()
}
