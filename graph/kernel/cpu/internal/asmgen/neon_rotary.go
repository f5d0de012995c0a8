package main

// neonRotation writes the function of rotation for arm64.
func neonRotation(f *neonFile) {
	args := f.function("rotateSteps", "dst *float32, src *float32, cos *float32, sin *float32, sign float32, n int, partner int, heads int, stride int", false,
		"turns n pairs, a multiple of 8, of elements partner bytes apart in each of heads vectors stride bytes apart.")
	const dst, src, cosines, sines, n, partner, heads, stride = 0, 1, 2, 3, 4, 5, 6, 7 // R registers
	const to, from, left, other = 8, 9, 10, 11                                         // of a head
	const cos, sin, u, v, x, y, sign = 0, 2, 4, 6, 16, 18, 31                          // V registers, the first of two
	f.load(args, dst, "dst", "src", "cos", "sin", "n", "partner", "heads", "stride")
	f.emit("FMOVS %s, F%d", args["sign"], sign)

	f.label("angles")
	f.emit("VLD1.P 32(R%d), %s", cosines, list(cos, 2, "S4"))
	f.emit("VLD1.P 32(R%d), %s", sines, list(sin, 2, "S4"))
	for i := range 2 {
		f.lane("FMUL", sign, 0, sin+i, sin+i)
	}
	f.emit("MOVD R%d, R%d", dst, to)
	f.emit("MOVD R%d, R%d", src, from)
	f.emit("MOVD R%d, R%d", heads, left)

	f.label("head")
	f.emit("ADD R%d, R%d, R%d", partner, from, other)
	f.emit("VLD1 (R%d), %s", from, list(u, 2, "S4"))
	f.emit("VLD1 (R%d), %s", other, list(v, 2, "S4"))
	for i := range 2 {
		f.op3("FMUL", cos+i, u+i, x+i)
		f.op3("FMUL", cos+i, v+i, y+i)
		f.emit("VFMLS V%d.S4, V%d.S4, V%d.S4", sin+i, v+i, x+i)
		f.fmla(sin+i, u+i, y+i)
	}
	f.emit("ADD R%d, R%d, R%d", partner, to, other)
	f.emit("VST1 %s, (R%d)", list(x, 2, "S4"), to)
	f.emit("VST1 %s, (R%d)", list(y, 2, "S4"), other)
	f.emit("ADD R%d, R%d, R%d", stride, from, from)
	f.emit("ADD R%d, R%d, R%d", stride, to, to)
	f.emit("SUBS $1, R%d, R%d", left, left)
	f.emit("BNE head")

	f.emit("ADD $32, R%d, R%d", dst, dst)
	f.emit("ADD $32, R%d, R%d", src, src)
	f.emit("SUBS $8, R%d, R%d", n, n)
	f.emit("BNE angles")
	f.emit("RET")
}
