package main

import "fmt"

// neonCurves writes exp and the functions made of it, by the formulas of curveGen.
func neonCurves(f *neonFile) {
	g := &neonCurve{neonFile: f, at: map[string]int{}}
	f.asm.WriteString("\n")
	for i, c := range curveConstants() {
		g.at[c.name] = 16 * i
		for lane := range 4 {
			fmt.Fprintf(&f.asm, "DATA curveConstants<>+%d(SB)/4, $%#08x\n", 16*i+4*lane, c.bits)
		}
	}
	fmt.Fprintf(&f.asm, "GLOBL curveConstants<>(SB), RODATA|NOPTR, $%d\n", 16*len(g.at))
	g.elementwise("exp", g.exp)
	g.elementwise("tanh", g.tanh)
	g.elementwise("erf", g.erf)
	g.elementwise("sigmoid", g.sigmoid)
	g.expSub()
}

// neonCurve emits the functions. It keeps account of the V registers in use.
type neonCurve struct {
	*neonFile
	at   map[string]int // of each constant in the table
	used [32]bool
}

const curveTable = 9 // R register that points to the constants

func (g *neonCurve) vec() int {
	for v := range g.used {
		if !g.used[v] {
			g.used[v] = true
			return v
		}
	}
	panic("out of vector registers")
}

func (g *neonCurve) release(vs ...int) {
	for _, v := range vs {
		g.used[v] = false
	}
}

// k returns a constant in a new register.
func (g *neonCurve) k(name string) int {
	off, ok := g.at[name]
	if !ok {
		panic("no constant " + name)
	}
	v := g.vec()
	g.emit("FMOVQ %d(R%d), F%d", off, curveTable, v)
	return v
}

// with applies d = d op constant.
func (g *neonCurve) with(name, constant string, d int) {
	c := g.k(constant)
	g.op3(name, c, d, d)
	g.release(c)
}

// bits applies an operation on bits, or on integers, of d and a constant.
func (g *neonCurve) bits(name, constant string, n, d int) {
	c := g.k(constant)
	arrangement := "B16"
	if name == "VADD" {
		arrangement = "S4"
	}
	g.emit("%[1]s V%[3]d.%[2]s, V%[4]d.%[2]s, V%[5]d.%[2]s", name, arrangement, c, n, d)
	g.release(c)
}

func (g *neonCurve) copy(n, d int) { g.emit("VMOV V%d.B16, V%d.B16", n, d) }

// horner returns the polynomial in x with the named coefficients, highest first.
func (g *neonCurve) horner(x int, names ...string) int {
	p := g.k(names[0])
	for _, n := range names[1:] {
		q := g.k(n)
		g.fmla(x, p, q)
		g.release(p)
		p = q
	}
	return p
}

// elementwise emits func(dst, src *float32, n int) for a curve, which leaves its argument alone.
func (g *neonCurve) elementwise(name string, curve func(x int) int) {
	args := g.function(name+"NEON", "dst *float32, src *float32, n int", false, fmt.Sprintf("applies %s to n elements, a multiple of %d.", name, step))
	g.load(args, 0, "dst", "src", "n")
	g.emit("MOVD $curveConstants<>(SB), R%d", curveTable)
	g.label("loop")
	x := g.vec()
	g.emit("FMOVQ.P 16(R1), F%d", x)
	y := curve(x)
	g.emit("FMOVQ.P F%d, 16(R0)", y)
	g.release(x, y)
	g.emit("SUBS $4, R2, R2")
	g.emit("BNE loop")
	g.emit("RET")
}

// exp returns e^x: with n = round(x/ln 2) and r = x - n ln 2 it is 2^n e^r. Clamping keeps n small; FMAX and FMIN hand on NaN.
func (g *neonCurve) exp(x int) int {
	r, n := g.vec(), g.vec()
	g.copy(x, r)
	g.with("FMAX", "expLow", r)
	g.with("FMIN", "expHigh", r)
	g.copy(r, n)
	g.with("FMUL", "log2e", n)
	g.op2("FRINTN", n, n)
	for _, part := range []string{"ln2hi", "ln2lo"} {
		c := g.k(part)
		g.emit("VFMLS V%d.S4, V%d.S4, V%d.S4", c, n, r)
		g.release(c)
	}
	p := g.horner(r, "c7", "c6", "c5", "c4", "c3", "c2")
	square := g.vec()
	g.op3("FMUL", r, r, square)
	g.fmla(square, p, r) // e^r - 1
	g.release(p, square)
	g.with("FADD", "one", r)
	g.scale(r, n)
	g.release(n)
	return r
}

// scale multiplies p by 2^n in two steps, so that results outside the normal range come out right.
func (g *neonCurve) scale(p, n int) {
	half := g.vec()
	g.op2("FCVTNS", n, n)
	g.op2("SSHR1", n, half)
	g.emit("VSUB V%d.S4, V%d.S4, V%d.S4", half, n, n)
	for _, e := range []int{half, n} {
		g.bits("VADD", "bias", e, e)
		g.emit("VSHL $23, V%d.S4, V%d.S4", e, e)
		g.op3("FMUL", e, p, p)
	}
	g.release(half)
}

// below returns small where t is below the named limit and large elsewhere.
func (g *neonCurve) below(limit string, t, small, large int) int {
	mask := g.k(limit)
	g.op3("FCMGT", t, mask, mask)
	g.emit("VBIT V%d.B16, V%d.B16, V%d.B16", mask, small, large)
	g.release(mask, t, small)
	return large
}

func (g *neonCurve) abs(x int) int {
	t := g.vec()
	g.op2("FABS", x, t)
	return t
}

// withSign gives y, which is not negative, the sign of x.
func (g *neonCurve) withSign(y, x int) {
	s := g.vec()
	g.bits("VAND", "sign", x, s)
	g.emit("VORR V%d.B16, V%d.B16, V%d.B16", s, y, y)
	g.release(s)
}

// from returns the named constant minus y, which it replaces.
func (g *neonCurve) from(constant string, y int) int {
	c := g.k(constant)
	g.op3("FSUB", y, c, c)
	g.release(y)
	return c
}

// into returns the named constant divided by y, which it replaces.
func (g *neonCurve) into(constant string, y int) int {
	c := g.k(constant)
	g.op3("FDIV", y, c, c)
	g.release(y)
	return c
}

// tanh is x + x³ P(x²) near 0 and 1 - 2/(e^2x + 1) elsewhere.
func (g *neonCurve) tanh(x int) int {
	t, d := g.abs(x), g.vec()
	g.op3("FADD", t, t, d)
	e := g.exp(d)
	g.release(d)
	g.with("FADD", "one", e)
	large := g.from("one", g.into("two", e))
	g.withSign(large, x)
	s := g.vec()
	g.op3("FMUL", x, x, s)
	p, small := g.horner(s, "t4", "t3", "t2", "t1", "t0"), g.vec()
	g.op3("FMUL", s, p, p)
	g.copy(x, small)
	g.fmla(x, p, small)
	g.release(s, p)
	return g.below("tanhLimit", t, small, large)
}

func (g *neonCurve) erf(x int) int {
	t, exponent := g.abs(x), g.vec()
	p := g.horner(t, "l6", "l5", "l4", "l3", "l2", "l1", "l0")
	g.op2("FNEG", t, exponent)
	g.fmla(t, p, exponent)
	g.release(p)
	large := g.from("one", g.exp(exponent))
	g.release(exponent)
	g.withSign(large, x)
	s := g.vec()
	g.op3("FMUL", x, x, s)
	p, small := g.horner(s, "e5", "e4", "e3", "e2", "e1", "e0"), g.vec()
	g.copy(x, small)
	g.fmla(x, p, small)
	g.release(s, p)
	return g.below("erfLimit", t, small, large)
}

func (g *neonCurve) sigmoid(x int) int {
	n := g.vec()
	g.op2("FNEG", x, n)
	e := g.exp(n)
	g.release(n)
	g.with("FADD", "one", e)
	return g.into("one", e)
}

// expSub emits x = e^(x-shift) with the sum of the results.
func (g *neonCurve) expSub() {
	args := g.function("expSubNEON", "x *float32, shift float32, n int", true, "computes x = e^(x-shift) and returns the sum.")
	g.load(args, 0, "x", "n")
	g.emit("MOVD $curveConstants<>(SB), R%d", curveTable)
	shift := g.vec()
	g.emit("FMOVS %s, F%d", args["shift"], shift)
	g.emit("VDUP V%d.S[0], V%d.S4", shift, shift)
	var sums [step / 4]int
	for i := range sums {
		sums[i] = g.vec()
	}
	g.zero(sums[:]...)
	g.label("loop")
	for _, sum := range sums {
		x := g.vec()
		g.emit("FMOVQ (R0), F%d", x)
		g.op3("FSUB", shift, x, x)
		e := g.exp(x)
		g.op3("FADD", e, sum, sum)
		g.emit("FMOVQ.P F%d, 16(R0)", e)
		g.release(x, e)
	}
	g.emit("SUBS $%d, R1, R1", step)
	g.emit("BNE loop")
	g.op3("FADD", sums[1], sums[0], sums[0])
	g.op3("FADD", sums[3], sums[2], sums[2])
	g.op3("FADD", sums[2], sums[0], sums[0])
	g.horizontalSum(sums[0])
	g.emit("FMOVS F%d, %s", sums[0], args["ret"])
	g.release(sums[:]...)
	g.release(shift)
	g.emit("RET")
}
