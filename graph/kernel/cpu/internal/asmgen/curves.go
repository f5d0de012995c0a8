package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// curves writes exp and the functions made of it, for both levels.
func curves(c *build.Context) {
	k := newConstants(c)
	for _, lanes := range []int{8, 16} {
		g := &curveGen{Context: c, constants: k, lanes: lanes}
		g.elementwise("exp", g.exp)
		g.elementwise("tanh", g.tanh)
		g.elementwise("erf", g.erf)
		g.elementwise("sigmoid", g.sigmoid)
		g.expSub()
	}
}

// constants is a table in which each value is repeated to the width of a register.
type constants struct {
	table operand.Mem
	at    map[string]int
}

// add appends a value given by its bits.
func (k *constants) add(c *build.Context, name string, bits uint32) {
	off := 64 * len(k.at)
	k.at[name] = off
	for i := range 16 {
		c.AddDatum(off+4*i, operand.U32(bits))
	}
}

// constant is a float32 or a pattern of bits by name.
type constant struct {
	name string
	bits uint32
}

// curveConstants returns the constants of the curves. The coefficients of exp are 1/n!: over |r| <= ln(2)/2 the series to r^7 is good to
// 5e-9. Those of tanh interpolate (tanh(x)/x-1)/x² at the Chebyshev points of x² in [0, 0.36], relative error 1e-8. Those of erf are
// N. Juffa's (erf(x) = x + x*small(x²) below 475/512, 1 - e^(|x| large(|x|) - |x|) above, each within 1 ulp).
func curveConstants() []constant {
	var list []constant
	for _, v := range []struct {
		name  string
		value float64
	}{
		{"log2e", math.Log2E}, {"ln2hi", 0.693359375}, {"ln2lo", math.Ln2 - 0.693359375}, {"expLow", -104}, {"expHigh", 89},
		{"c2", 1. / 2}, {"c3", 1. / 6}, {"c4", 1. / 24}, {"c5", 1. / 120}, {"c6", 1. / 720}, {"c7", 1. / 5040},
		{"one", 1}, {"two", 2},
		{"tanhLimit", 0.6}, {"t0", tanhCoefficients[0]}, {"t1", tanhCoefficients[1]}, {"t2", tanhCoefficients[2]}, {"t3", tanhCoefficients[3]},
		{"t4", tanhCoefficients[4]},
		{"erfLimit", 0.927734375},
		{"e0", 1.28379166e-1}, {"e1", -3.76125336e-1}, {"e2", 1.12819925e-1}, {"e3", -2.67681349e-2}, {"e4", 4.99119423e-3}, {"e5", -5.96761703e-4},
		{"l0", -1.28717512e-1}, {"l1", -6.34846687e-1}, {"l2", -1.06777877e-1}, {"l3", 2.42546219e-2}, {"l4", -3.88396438e-3}, {"l5", 3.83197126e-4},
		{"l6", -1.72853470e-5},
	} {
		list = append(list, constant{v.name, math.Float32bits(float32(v.value))})
	}
	return append(list, constant{"sign", 1 << 31}, constant{"magnitude", 1<<31 - 1}, constant{"bias", 127})
}

func newConstants(c *build.Context) *constants {
	k := &constants{c.StaticGlobal("curveConstants"), map[string]int{}}
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, v := range curveConstants() {
		k.add(c, v.name, v.bits)
	}
	return k
}

var tanhCoefficients = [...]float64{-0.333333303327, 0.13332915367, -0.0538739488486, 0.0211109590495, -0.00626911971965}

// curveGen emits the functions of one level.
type curveGen struct {
	*build.Context
	*constants
	lanes int
}

func (g *curveGen) vec() reg.VecVirtual { return vecOf(g.Context, g.lanes)() }

// k returns a constant as a memory operand.
func (g *curveGen) k(name string) operand.Mem {
	off, ok := g.at[name]
	if !ok {
		panic("no constant " + name)
	}
	return g.table.Offset(off)
}

// load returns a constant in a register.
func (g *curveGen) load(name string) reg.VecVirtual {
	z := g.vec()
	g.VMOVUPS(g.k(name), z)
	return z
}

// horner returns the polynomial in x with the named coefficients, highest first.
func (g *curveGen) horner(x reg.VecVirtual, names ...string) reg.VecVirtual {
	p := g.load(names[0])
	for _, n := range names[1:] {
		g.VFMADD213PS(g.k(n), x, p)
	}
	return p
}

// elementwise emits func(dst, src *float32, n int) for a curve; n is a multiple of step.
func (g *curveGen) elementwise(name string, curve func(x reg.VecVirtual) reg.VecVirtual) {
	full := name + isaName(g.lanes)
	begin(g.Context, full, "func(dst, src *float32, n int)", fmt.Sprintf("%s applies %s to n elements, a multiple of %d.", full, name, step))
	dst, src := g.Load(g.Param("dst"), g.GP64()), g.Load(g.Param("src"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	g.Label("loop")
	for at := 0; at < 4*step; at += 4 * g.lanes {
		x := g.vec()
		g.VMOVUPS(operand.Mem{Base: src, Disp: at}, x)
		g.VMOVUPS(curve(x), operand.Mem{Base: dst, Disp: at})
	}
	g.ADDQ(operand.U8(4*step), src)
	g.ADDQ(operand.U8(4*step), dst)
	g.SUBQ(operand.U8(step), n)
	g.JNZ(operand.LabelRef("loop"))
	g.VZEROUPPER()
	g.RET()
}

// exp returns e^x: with n = round(x/ln 2) and r = x - n ln 2 it is 2^n e^r. Clamping keeps n small; NaN passes, because VMAXPS and
// VMINPS then return their first operand here.
func (g *curveGen) exp(x reg.VecVirtual) reg.VecVirtual {
	r, n := g.vec(), g.vec()
	g.VMAXPS(x, g.load("expLow"), r)
	g.VMINPS(r, g.load("expHigh"), r)
	g.VMULPS(g.k("log2e"), r, n)
	if g.lanes == 16 {
		g.VRNDSCALEPS(operand.U8(8), n, n)
	} else {
		g.VROUNDPS(operand.U8(8), n, n)
	}
	g.VFNMADD231PS(g.k("ln2hi"), n, r)
	g.VFNMADD231PS(g.k("ln2lo"), n, r)
	p := g.horner(r, "c7", "c6", "c5", "c4", "c3", "c2")
	square := g.vec()
	g.VMULPS(r, r, square)
	g.VFMADD213PS(r, square, p) // e^r - 1
	g.VADDPS(g.k("one"), p, p)
	g.scale(p, n)
	return p
}

// scale multiplies p by 2^n. Without VSCALEFPS it takes two steps, so that results outside the normal range come out right.
func (g *curveGen) scale(p, n reg.VecVirtual) {
	if g.lanes == 16 {
		g.VSCALEFPS(n, p, p)
		return
	}
	half := g.vec()
	g.VCVTPS2DQ(n, n)
	g.VPSRAD(operand.U8(1), n, half)
	g.VPSUBD(half, n, n)
	for _, e := range []reg.VecVirtual{half, n} {
		g.VPADDD(g.k("bias"), e, e)
		g.VPSLLD(operand.U8(23), e, e)
		g.VMULPS(e, p, p)
	}
}

// below returns small where t is below the named limit and large elsewhere.
func (g *curveGen) below(limit string, t, small, large reg.VecVirtual) reg.VecVirtual {
	const less = 1
	if g.lanes == 16 {
		m := g.K()
		g.VCMPPS(operand.U8(less), g.k(limit), t, m)
		g.VMOVAPS(small, m, large)
		return large
	}
	m := g.vec()
	g.VCMPPS(operand.U8(less), g.k(limit), t, m)
	g.VBLENDVPS(m, small, large, large)
	return large
}

func (g *curveGen) abs(x reg.VecVirtual) reg.VecVirtual {
	t := g.vec()
	g.VANDPS(g.k("magnitude"), x, t)
	return t
}

// withSign gives y, which is not negative, the sign of x.
func (g *curveGen) withSign(y, x reg.VecVirtual) {
	s := g.vec()
	g.VANDPS(g.k("sign"), x, s)
	g.VORPS(s, y, y)
}

// tanh is x + x³ P(x²) near 0 and 1 - 2/(e^2x + 1) elsewhere.
func (g *curveGen) tanh(x reg.VecVirtual) reg.VecVirtual {
	t, d := g.abs(x), g.vec()
	g.VADDPS(t, t, d)
	large := g.exp(d)
	g.VADDPS(g.k("one"), large, large)
	g.VDIVPS(large, g.load("two"), d)
	g.VSUBPS(d, g.load("one"), large)
	g.withSign(large, x)
	s := g.vec()
	g.VMULPS(x, x, s)
	small := g.horner(s, "t4", "t3", "t2", "t1", "t0")
	g.VMULPS(s, small, small)
	g.VFMADD213PS(x, x, small)
	return g.below("tanhLimit", t, small, large)
}

func (g *curveGen) erf(x reg.VecVirtual) reg.VecVirtual {
	t, s := g.abs(x), g.vec()
	p := g.horner(t, "l6", "l5", "l4", "l3", "l2", "l1", "l0")
	g.VFMSUB213PS(t, t, p)
	e, large := g.exp(p), g.vec()
	g.VSUBPS(e, g.load("one"), large)
	g.withSign(large, x)
	g.VMULPS(x, x, s)
	small := g.horner(s, "e5", "e4", "e3", "e2", "e1", "e0")
	g.VFMADD213PS(x, x, small)
	return g.below("erfLimit", t, small, large)
}

func (g *curveGen) sigmoid(x reg.VecVirtual) reg.VecVirtual {
	n, y := g.vec(), g.vec()
	g.VXORPS(g.k("sign"), x, n)
	e := g.exp(n)
	g.VADDPS(g.k("one"), e, e)
	g.VDIVPS(e, g.load("one"), y)
	return y
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
	var sums []reg.VecVirtual
	for range step / g.lanes {
		z := g.vec()
		g.VXORPS(z, z, z)
		sums = append(sums, z)
	}
	g.Label("loop")
	for i, sum := range sums {
		m := operand.Mem{Base: x, Disp: 4 * g.lanes * i}
		v := g.vec()
		g.VMOVUPS(m, v)
		g.VSUBPS(shift, v, v)
		e := g.exp(v)
		g.VADDPS(e, sum, sum)
		g.VMOVUPS(e, m)
	}
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
