package main

// neonExp writes exp, by the formulas of curveGen.
func neonExp(f *neonFile) {
	g := newNeonCurve(f, expSubConstants())
	g.expSub()
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
