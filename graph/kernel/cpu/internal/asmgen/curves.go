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
	k := newConstants(c, curveConstants())
	for _, lanes := range []int{8, 16} {
		g := &curveGen{Context: c, constants: k, lanes: lanes, width: step / lanes}
		g.elementwise("exp", g.exp)
		g.elementwise("tanh", g.tanh)
		g.elementwise("erf", g.erf)
		g.elementwise("sigmoid", g.sigmoid)
		g.expSub()
	}
}

// constants is a table in which each value is repeated to the 8 lanes of AVX2.
type constants struct {
	table   operand.Mem
	offsets map[string]int
}

// add appends a value given by its bits.
func (k *constants) add(c *build.Context, name string, bits uint32) {
	off := 32 * len(k.offsets)
	k.offsets[name] = off
	for i := range 8 {
		c.AddDatum(off+4*i, operand.U32(bits))
	}
}

// constant is a float32 or a pattern of bits by name.
type constant struct {
	name string
	bits uint32
}

// real is the constant of a value rounded to float32.
func real(name string, value float64) constant {
	return constant{name, math.Float32bits(float32(value))}
}

// expConstants returns what every function made of exp needs. The coefficients s2 to s6 are those of the polynomial 1 + r + s2 r² + ...
// that has the smallest relative error, 3e-9, from e^r over |r| <= ln(2)/2.
func expConstants() []constant {
	return []constant{
		real("one", 1), real("log2e", math.Log2E),
		real("s2", 0.4999999343), real("s3", 0.166665204), real("s4", 0.04166839079), real("s5", 0.00836874516), real("s6", 0.001381454014),
		{"sign", 1 << 31},
	}
}

// curveConstants returns the constants of the curves. The coefficients of tanh interpolate (tanh(x)/x-1)/x² at the Chebyshev points of x²
// in [0, 0.36], relative error 1e-8. Those of erf are N. Juffa's (erf(x) = x + x*small(x²) below 475/512, 1 - e^(|x| large(|x|) - |x|)
// above, each within 1 ulp).
func curveConstants() []constant {
	return append(expConstants(),
		real("ln2hi", 0.693359375), real("ln2lo", math.Ln2-0.693359375), real("expLow", -104), real("expHigh", 89), real("two", 2),
		real("tanhLimit", 0.6), real("t0", -0.333333303327), real("t1", 0.13332915367), real("t2", -0.0538739488486),
		real("t3", 0.0211109590495), real("t4", -0.00626911971965),
		real("erfLimit", 0.927734375),
		real("e0", 1.28379166e-1), real("e1", -3.76125336e-1), real("e2", 1.12819925e-1), real("e3", -2.67681349e-2),
		real("e4", 4.99119423e-3), real("e5", -5.96761703e-4),
		real("l0", -1.28717512e-1), real("l1", -6.34846687e-1), real("l2", -1.06777877e-1), real("l3", 2.42546219e-2),
		real("l4", -3.88396438e-3), real("l5", 3.83197126e-4), real("l6", -1.72853470e-5),
		constant{"magnitude", 1<<31 - 1}, constant{"bias", 127})
}

func newConstants(c *build.Context, list []constant) *constants {
	k := &constants{c.StaticGlobal("curveConstants"), map[string]int{}}
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, v := range list {
		k.add(c, v.name, v.bits)
	}
	return k
}

// curveGen emits the functions of one level. Every formula works on several registers side by side: each operation on one of them waits
// for the one before, and a processor that looks ahead a hundred waiting operations finds the other chains only if they are interleaved.
type curveGen struct {
	*build.Context
	*constants
	lanes int // of a register
	width int // registers side by side
}

// vecs are as many registers as are worked on side by side; ops are other operands that belong to them, places or masks.
type (
	vecs []reg.VecVirtual
	ops  []operand.Op
)

func (g *curveGen) vec() reg.VecVirtual { return vecOf(g.Context, g.lanes)() }

func (g *curveGen) vecs() vecs {
	v := make(vecs, g.width)
	for i := range v {
		v[i] = g.vec()
	}
	return v
}

// masks returns what holds the results of comparisons.
func (g *curveGen) masks() ops {
	m := make(ops, g.width)
	for i := range m {
		if g.lanes == 16 {
			m[i] = g.K()
		} else {
			m[i] = g.vec()
		}
	}
	return m
}

// at returns the places of the elements from an address on.
func (g *curveGen) at(m operand.Mem) ops {
	places := make(ops, g.width)
	for i := range places {
		places[i] = m.Offset(4 * g.lanes * i)
	}
	return places
}

// each emits an instruction for each register of its operands. A string is a constant, any other single operand the same for all.
func (g *curveGen) each(instruction func(...operand.Op), operands ...any) {
	for i, o := range operands {
		if name, ok := o.(string); ok {
			operands[i] = g.k(name)
		}
	}
	for i := range g.width {
		var list []operand.Op
		for _, o := range operands {
			switch o := o.(type) {
			case vecs:
				list = append(list, o[i])
			case ops:
				list = append(list, o[i])
			case operand.Op:
				list = append(list, o)
			}
		}
		instruction(list...)
	}
}

// of3 and of4 adapt instructions that have one number of operands to each.
func of3(f func(a, b, c operand.Op)) func(...operand.Op) {
	return func(o ...operand.Op) { f(o[0], o[1], o[2]) }
}

func of4(f func(a, b, c, d operand.Op)) func(...operand.Op) {
	return func(o ...operand.Op) { f(o[0], o[1], o[2], o[3]) }
}

// place returns where a constant is.
func (g *curveGen) place(name string) operand.Mem {
	off, ok := g.offsets[name]
	if !ok {
		panic("no constant " + name)
	}
	return g.table.Offset(off)
}

// k returns a constant as an operand, for 16 lanes in a register: the linker aligns tables to 32 bytes, so that loads of 64 would cross
// cache lines.
func (g *curveGen) k(name string) operand.Op {
	if g.lanes == 16 {
		return g.register(name)
	}
	return g.place(name)
}

// register returns a constant in a register.
func (g *curveGen) register(name string) reg.VecVirtual {
	z := g.vec()
	g.VBROADCASTSS(g.place(name), z)
	return z
}

// load returns a constant in registers that may be overwritten.
func (g *curveGen) load(name string) vecs {
	z := g.vecs()
	g.each(g.VBROADCASTSS, g.place(name), z)
	return z
}

// horner returns the polynomial in x with the named coefficients, highest first.
func (g *curveGen) horner(x vecs, names ...string) vecs {
	p := g.load(names[0])
	for _, n := range names[1:] {
		g.each(g.VFMADD213PS, n, x, p)
	}
	return p
}

// elementwise emits func(dst, src *float32, n int) for a curve; n is a multiple of step.
func (g *curveGen) elementwise(name string, curve func(x vecs) vecs) {
	full := name + isaName(g.lanes)
	begin(g.Context, full, "func(dst, src *float32, n int)", fmt.Sprintf("%s applies %s to n elements, a multiple of %d.", full, name, step))
	dst, src := g.Load(g.Param("dst"), g.GP64()), g.Load(g.Param("src"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	g.Label("loop")
	x := g.vecs()
	g.each(g.VMOVUPS, g.at(operand.Mem{Base: src}), x)
	g.each(g.VMOVUPS, curve(x), g.at(operand.Mem{Base: dst}))
	g.ADDQ(operand.U8(4*step), src)
	g.ADDQ(operand.U8(4*step), dst)
	g.SUBQ(operand.U8(step), n)
	g.JNZ(operand.LabelRef("loop"))
	g.VZEROUPPER()
	g.RET()
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

// series returns e^r for |r| <= ln(2)/2.
func (g *curveGen) series(r vecs) vecs {
	return g.horner(r, "s6", "s5", "s4", "s3", "s2", "one", "one")
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

// below returns small where t is below the named limit and large elsewhere.
func (g *curveGen) below(limit string, t, small, large vecs) vecs {
	const less = 1
	m := g.masks()
	g.each(g.VCMPPS, operand.U8(less), limit, t, m)
	if g.lanes == 16 {
		g.each(g.VMOVAPS, small, m, large)
	} else {
		g.each(of4(g.VBLENDVPS), m, small, large, large)
	}
	return large
}

func (g *curveGen) abs(x vecs) vecs {
	t := g.vecs()
	g.each(g.VANDPS, "magnitude", x, t)
	return t
}

// withSign gives y, which is not negative, the sign of x.
func (g *curveGen) withSign(y, x vecs) {
	s := g.vecs()
	g.each(g.VANDPS, "sign", x, s)
	g.each(g.VORPS, s, y, y)
}

// tanh is x + x³ P(x²) near 0 and 1 - 2/(e^2x + 1) elsewhere.
func (g *curveGen) tanh(x vecs) vecs {
	t, d := g.abs(x), g.vecs()
	g.each(g.VADDPS, t, t, d)
	large := g.exp(d)
	g.each(g.VADDPS, "one", large, large)
	g.each(g.VDIVPS, large, g.register("two"), d)
	g.each(g.VSUBPS, d, g.register("one"), large)
	g.withSign(large, x)
	s := g.vecs()
	g.each(g.VMULPS, x, x, s)
	small := g.horner(s, "t4", "t3", "t2", "t1", "t0")
	g.each(g.VMULPS, s, small, small)
	g.each(g.VFMADD213PS, x, x, small)
	return g.below("tanhLimit", t, small, large)
}

func (g *curveGen) erf(x vecs) vecs {
	t, s := g.abs(x), g.vecs()
	p := g.horner(t, "l6", "l5", "l4", "l3", "l2", "l1", "l0")
	g.each(g.VFMSUB213PS, t, t, p)
	e, large := g.exp(p), g.vecs()
	g.each(g.VSUBPS, e, g.register("one"), large)
	g.withSign(large, x)
	g.each(g.VMULPS, x, x, s)
	small := g.horner(s, "e5", "e4", "e3", "e2", "e1", "e0")
	g.each(g.VFMADD213PS, x, x, small)
	return g.below("erfLimit", t, small, large)
}

func (g *curveGen) sigmoid(x vecs) vecs {
	n, y := g.vecs(), g.vecs()
	g.each(g.VXORPS, "sign", x, n)
	e := g.exp(n)
	g.each(g.VADDPS, "one", e, e)
	g.each(g.VDIVPS, e, g.register("one"), y)
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
