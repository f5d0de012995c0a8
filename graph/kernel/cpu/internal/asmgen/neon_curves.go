package main

import "fmt"

// neonCurves writes exp and the functions made of it, by the formulas of curveGen.
func neonCurves(f *neonFile) {
	g := newNeonCurve(f, curveConstants())
	g.elementwise("exp", g.exp)
	g.elementwise("tanh", g.tanh)
	g.elementwise("erf", g.erf)
	g.elementwise("sigmoid", g.sigmoid)
	g.expSub()
}

// quartet is the four V registers, of four neighbouring elements each, that every formula works on side by side, because each operation on
// one of them waits for the one before.
type quartet [4]int

// neonCurve emits the functions. It keeps account of the V registers in use.
type neonCurve struct {
	*neonFile
	at   map[string]int // of each constant in the table
	used [32]bool
}

// newNeonCurve writes a file's table of constants.
func newNeonCurve(f *neonFile, list []constant) *neonCurve {
	g := &neonCurve{neonFile: f, at: map[string]int{}}
	f.asm.WriteString("\n")
	for i, c := range list {
		g.at[c.name] = 16 * i
		for lane := range 4 {
			fmt.Fprintf(&f.asm, "DATA curveConstants<>+%d(SB)/4, $%#08x\n", 16*i+4*lane, c.bits)
		}
	}
	fmt.Fprintf(&f.asm, "GLOBL curveConstants<>(SB), RODATA|NOPTR, $%d\n", 16*len(g.at))
	return g
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

func (g *neonCurve) vecs() (q quartet) {
	for i := range q {
		q[i] = g.vec()
	}
	return q
}

func (g *neonCurve) release(lists ...quartet) {
	for _, q := range lists {
		for _, v := range q {
			g.used[v] = false
		}
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

// fill returns a constant in new registers.
func (g *neonCurve) fill(name string) (q quartet) {
	for i := range q {
		q[i] = g.k(name)
	}
	return q
}

// op applies d = n op m to all registers.
func (g *neonCurve) op(name string, m, n, d quartet) {
	for i := range d {
		g.op3(name, m[i], n[i], d[i])
	}
}

// single applies d = op n.
func (g *neonCurve) single(name string, n, d quartet) {
	for i := range d {
		g.op2(name, n[i], d[i])
	}
}

// plain applies an instruction that Go's assembler knows, with registers in the given arrangement.
func (g *neonCurve) plain(instruction, arrangement string, m, n, d quartet) {
	for i := range d {
		g.emit("%[1]s V%[3]d.%[2]s, V%[4]d.%[2]s, V%[5]d.%[2]s", instruction, arrangement, m[i], n[i], d[i])
	}
}

// add and subtract compute d += n*m and d -= n*m.
func (g *neonCurve) add(m, n, d quartet)      { g.plain("VFMLA", "S4", m, n, d) }
func (g *neonCurve) subtract(m, n, d quartet) { g.plain("VFMLS", "S4", m, n, d) }

// same calls f with the named constant in all places.
func (g *neonCurve) same(name string, f func(c quartet)) {
	c := g.k(name)
	f(quartet{c, c, c, c})
	g.used[c] = false
}

// with applies d = d op constant.
func (g *neonCurve) with(name, constant string, d quartet) {
	g.same(constant, func(c quartet) { g.op(name, c, d, d) })
}

// bits applies an operation on bits of n and a constant.
func (g *neonCurve) bits(name, constant string, n, d quartet) {
	g.same(constant, func(c quartet) { g.plain(name, "B16", c, n, d) })
}

func (g *neonCurve) copy(n quartet) (d quartet) {
	for i := range d {
		d[i] = g.vec()
		g.emit("VMOV V%d.B16, V%d.B16", n[i], d[i])
	}
	return d
}

func (g *neonCurve) shiftLeft(by int, v quartet) {
	for _, v := range v {
		g.emit("VSHL $%d, V%d.S4, V%d.S4", by, v, v)
	}
}

// horner returns the polynomial in x with the named coefficients, highest first.
func (g *neonCurve) horner(x quartet, names ...string) quartet {
	p := g.fill(names[0])
	for _, n := range names[1:] {
		g.same(n, func(c quartet) {
			for i := range p {
				q := g.vec()
				g.emit("VMOV V%d.B16, V%d.B16", c[i], q)
				g.fmla(x[i], p[i], q)
				g.used[p[i]] = false
				p[i] = q
			}
		})
	}
	return p
}

// fetch loads 16 elements.
func (g *neonCurve) fetch(pointer int) (q quartet) {
	q = g.vecs()
	for i := 0; i < len(q); i += 2 {
		g.emit("FLDPQ %d(R%d), (F%d, F%d)", 16*i, pointer, q[i], q[i+1])
	}
	return q
}

// store writes 16 elements.
func (g *neonCurve) store(q quartet, pointer int) {
	for i := 0; i < len(q); i += 2 {
		g.emit("FSTPQ (F%d, F%d), %d(R%d)", q[i], q[i+1], 16*i, pointer)
	}
}

// advance moves pointers on by 16 elements.
func (g *neonCurve) advance(pointers ...int) {
	for _, p := range pointers {
		g.emit("ADD $64, R%d, R%d", p, p)
	}
}

// elementwise emits func(dst, src *float32, n int) for a curve, which leaves its argument alone.
func (g *neonCurve) elementwise(name string, curve func(x quartet) quartet) {
	args := g.function(name+"NEON", "dst *float32, src *float32, n int", false, fmt.Sprintf("applies %s to n elements, a multiple of %d.", name, step))
	g.load(args, 0, "dst", "src", "n")
	g.emit("MOVD $curveConstants<>(SB), R%d", curveTable)
	g.steps(2, func() {
		x := g.fetch(1)
		y := curve(x)
		g.store(y, 0)
		g.advance(0, 1)
		g.release(x, y)
	})
	g.emit("RET")
}

// exp returns e^x: with n = round(x/ln 2) and r = x - n ln 2 it is 2^n e^r. Clamping keeps n small; FMAX and FMIN hand on NaN.
func (g *neonCurve) exp(x quartet) quartet {
	r, n := g.vecs(), g.vecs()
	g.same("expLow", func(c quartet) { g.op("FMAX", c, x, r) })
	g.with("FMIN", "expHigh", r)
	g.same("log2e", func(c quartet) { g.op("FMUL", c, r, n) })
	g.single("FRINTN", n, n)
	for _, part := range []string{"ln2hi", "ln2lo"} {
		g.same(part, func(c quartet) { g.subtract(c, n, r) })
	}
	p := g.series(r)
	g.release(r)
	g.scale(p, n)
	g.release(n)
	return p
}

// series returns e^r for |r| <= ln(2)/2.
func (g *neonCurve) series(r quartet) quartet {
	return g.horner(r, "s6", "s5", "s4", "s3", "s2", "one", "one")
}

// scale multiplies p by 2^n in two steps, so that results outside the normal range come out right.
func (g *neonCurve) scale(p, n quartet) {
	half := g.vecs()
	g.single("FCVTNS", n, n)
	g.single("SSHR1", n, half)
	g.plain("VSUB", "S4", half, n, n)
	for _, e := range []quartet{half, n} {
		g.same("bias", func(c quartet) { g.plain("VADD", "S4", c, e, e) })
		g.shiftLeft(23, e)
		g.op("FMUL", e, p, p)
	}
	g.release(half)
}

// below returns small where t is below the named limit and large elsewhere.
func (g *neonCurve) below(limit string, t, small, large quartet) quartet {
	mask := g.fill(limit)
	g.op("FCMGT", t, mask, mask)
	g.plain("VBIT", "B16", mask, small, large)
	g.release(mask, t, small)
	return large
}

func (g *neonCurve) abs(x quartet) quartet {
	t := g.vecs()
	g.single("FABS", x, t)
	return t
}

// withSign gives y, which is not negative, the sign of x.
func (g *neonCurve) withSign(y, x quartet) {
	s := g.vecs()
	g.bits("VAND", "sign", x, s)
	g.plain("VORR", "B16", s, y, y)
	g.release(s)
}

// from replaces y by the named constant minus y, into by the constant divided by y.
func (g *neonCurve) from(constant string, y quartet) {
	g.same(constant, func(c quartet) { g.op("FSUB", y, c, y) })
}

func (g *neonCurve) into(constant string, y quartet) {
	g.same(constant, func(c quartet) { g.op("FDIV", y, c, y) })
}

// tanh is x + x³ P(x²) near 0 and 1 - 2/(e^2x + 1) elsewhere.
func (g *neonCurve) tanh(x quartet) quartet {
	t, d := g.abs(x), g.vecs()
	g.op("FADD", t, t, d)
	large := g.exp(d)
	g.release(d)
	g.with("FADD", "one", large)
	g.into("two", large)
	g.from("one", large)
	g.withSign(large, x)
	s := g.vecs()
	g.op("FMUL", x, x, s)
	p := g.horner(s, "t4", "t3", "t2", "t1", "t0")
	g.op("FMUL", s, p, p)
	g.release(s)
	small := g.copy(x)
	g.add(x, p, small)
	g.release(p)
	return g.below("tanhLimit", t, small, large)
}

func (g *neonCurve) erf(x quartet) quartet {
	t, exponent := g.abs(x), g.vecs()
	p := g.horner(t, "l6", "l5", "l4", "l3", "l2", "l1", "l0")
	g.single("FNEG", t, exponent)
	g.add(t, p, exponent)
	g.release(p)
	large := g.exp(exponent)
	g.release(exponent)
	g.from("one", large)
	g.withSign(large, x)
	s := g.vecs()
	g.op("FMUL", x, x, s)
	p = g.horner(s, "e5", "e4", "e3", "e2", "e1", "e0")
	g.release(s)
	small := g.copy(x)
	g.add(x, p, small)
	g.release(p)
	return g.below("erfLimit", t, small, large)
}

func (g *neonCurve) sigmoid(x quartet) quartet {
	n := g.vecs()
	g.single("FNEG", x, n)
	e := g.exp(n)
	g.release(n)
	g.with("FADD", "one", e)
	g.into("one", e)
	return e
}

// expSub emits x = e^(x-shift) with the sum of the results.
func (g *neonCurve) expSub() {
	args := g.function("expSubNEON", "x *float32, shift float32, n int", true, "computes x = e^(x-shift) and returns the sum.")
	g.load(args, 0, "x", "n")
	g.emit("MOVD $curveConstants<>(SB), R%d", curveTable)
	shift, sums := g.vec(), g.vecs()
	g.emit("FMOVS %s, F%d", args["shift"], shift)
	g.emit("VDUP V%d.S[0], V%d.S4", shift, shift)
	g.zero(sums[:]...)
	g.steps(1, func() {
		x := g.fetch(0)
		g.op("FSUB", quartet{shift, shift, shift, shift}, x, x)
		e := g.exp(x)
		g.op("FADD", e, sums, sums)
		g.store(e, 0)
		g.advance(0)
		g.release(x, e)
	})
	g.op3("FADD", sums[1], sums[0], sums[0])
	g.op3("FADD", sums[3], sums[2], sums[2])
	g.op3("FADD", sums[2], sums[0], sums[0])
	g.horizontalSum(sums[0])
	g.emit("FMOVS F%d, %s", sums[0], args["ret"])
	g.release(sums, quartet{shift, shift, shift, shift})
	g.emit("RET")
}
