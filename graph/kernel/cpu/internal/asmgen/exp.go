package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// exps writes exp for both levels.
func exps(c *build.Context) {
	k := newConstants(c, expSubConstants())
	for _, lanes := range []int{8, 16} {
		g := &curveGen{Context: c, constants: k, lanes: lanes, width: step / lanes}
		g.expSub()
	}
}

// expSubConstants returns the constants of exp over all of float32.
func expSubConstants() []constant {
	return append(expConstants(),
		real("ln2hi", 0.693359375), real("ln2lo", math.Ln2-0.693359375), real("expLow", -104), real("expHigh", 89), constant{"bias", 127})
}

// exp returns e^x: with n = round(x/ln 2) and r = x - n ln 2 it is 2^n e^r. Clamping keeps n small; NaN passes, because VMAXPS and
// VMINPS then return their first operand here.
func (g *curveGen) exp(x vecs) vecs {
	r, n := g.vecs(), g.vecs()
	g.each(g.VMAXPS, x, g.register("expLow"), r)
	g.each(g.VMINPS, r, g.register("expHigh"), r)
	g.each(g.VMULPS, "log2e", r, n)
	if g.lanes == 16 {
		g.each(g.VRNDSCALEPS, operand.U8(8), n, n)
	} else {
		g.each(of3(g.VROUNDPS), operand.U8(8), n, n)
	}
	g.each(g.VFNMADD231PS, "ln2hi", n, r)
	g.each(g.VFNMADD231PS, "ln2lo", n, r)
	p := g.series(r)
	g.scale(p, n)
	return p
}

// scale multiplies p by 2^n. Without VSCALEFPS it takes two steps, so that results outside the normal range come out right.
func (g *curveGen) scale(p, n vecs) {
	if g.lanes == 16 {
		g.each(g.VSCALEFPS, n, p, p)
		return
	}
	half := g.vecs()
	g.each(g.VCVTPS2DQ, n, n)
	g.each(g.VPSRAD, operand.U8(1), n, half)
	g.each(g.VPSUBD, half, n, n)
	for _, e := range []vecs{half, n} {
		g.each(g.VPADDD, "bias", e, e)
		g.each(g.VPSLLD, operand.U8(23), e, e)
		g.each(g.VMULPS, e, p, p)
	}
}

// expSub emits x = e^(x-shift) with the sum of the results.
func (g *curveGen) expSub() {
	full := "expSub" + isaName(g.lanes)
	begin(g.Context, full, "func(x *float32, shift float32, n int) float32", full+" computes x = e^(x-shift) and returns the sum.")
	x, n := g.Load(g.Param("x"), g.GP64()), g.Load(g.Param("n"), g.GP64())
	shift := g.vec()
	param, err := g.Param("shift").Resolve()
	if err != nil {
		panic(err)
	}
	g.VBROADCASTSS(param.Addr, shift)
	sums, v := g.vecs(), g.vecs()
	g.each(g.VXORPS, sums, sums, sums)
	g.Label("loop")
	g.each(g.VMOVUPS, g.at(operand.Mem{Base: x}), v)
	g.each(g.VSUBPS, shift, v, v)
	e := g.exp(v)
	g.each(g.VADDPS, e, sums, sums)
	g.each(g.VMOVUPS, e, g.at(operand.Mem{Base: x}))
	g.ADDQ(operand.U8(4*step), x)
	g.SUBQ(operand.U8(step), n)
	g.JNZ(operand.LabelRef("loop"))
	total := sums[0]
	if g.lanes == 16 {
		high := g.YMM()
		g.VEXTRACTF64X4(operand.U8(1), total, high)
		g.VADDPS(high, total.AsY(), total.AsY())
		total = high
		g.VMOVAPS(sums[0].AsY(), high)
	} else {
		g.VADDPS(sums[1], total, total)
	}
	g.Store(horizontal(g.Context, total, g.VADDPS), g.ReturnIndex(0))
	g.VZEROUPPER()
	g.RET()
}
