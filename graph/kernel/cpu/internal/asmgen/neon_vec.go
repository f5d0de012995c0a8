package main

import (
	"fmt"
	"strings"
)

// neonVectorOps writes the functions of vectorOps with the same names and contracts.
func neonVectorOps(f *neonFile) {
	f.axpy()
	f.scale()
	f.binary("add", "FADD")
	f.binary("mul", "FMUL")
	f.softmaxGrad()
	f.norms()
	f.reduce("dot", "x", "y")
	f.reduce("sum", "x")
	f.reduce("deviations", "x")
	f.maximum()
	f.adamW()
	f.widenVector(bf16)
	f.widenVector(f16)
}

// steps emits the loop over n elements in Rn, a multiple of step; the body handles the next step of them, 4 registers.
func (f *neonFile) steps(n int, body func()) {
	f.label("loop")
	body()
	f.emit("SUBS $%d, R%d, R%d", step, n, n)
	f.emit("BNE loop")
}

// next loads the 16 elements at R[pointer] into V registers from v on, and advances the pointer.
func (f *neonFile) next(pointer, v int) { f.emit("VLD1.P 64(R%d), %s", pointer, list(v, 4, "S4")) }

// peek loads without advancing.
func (f *neonFile) peek(pointer, v int) { f.emit("VLD1 (R%d), %s", pointer, list(v, 4, "S4")) }

// put stores 16 elements and advances the pointer.
func (f *neonFile) put(v, pointer int) { f.emit("VST1.P %s, 64(R%d)", list(v, 4, "S4"), pointer) }

func (f *neonFile) axpy() {
	args := f.function("axpySteps", "alpha float32, x *float32, y *float32, n int", false, "computes y += alpha*x.")
	f.load(args, 0, "x", "y", "n")
	f.emit("FMOVS %s, F31", args["alpha"])
	f.steps(2, func() {
		f.next(0, 0)
		f.peek(1, 4)
		for i := range 4 {
			f.lane("FMLA", 31, 0, i, 4+i)
		}
		f.put(4, 1)
	})
	f.emit("RET")
}

func (f *neonFile) scale() {
	args := f.function("scaleSteps", "x *float32, alpha float32, n int", false, "computes x *= alpha.")
	f.load(args, 0, "x", "n")
	f.emit("FMOVS %s, F31", args["alpha"])
	f.steps(1, func() {
		f.peek(0, 0)
		for i := range 4 {
			f.lane("FMUL", 31, 0, i, i)
		}
		f.put(0, 0)
	})
	f.emit("RET")
}

func (f *neonFile) binary(name, op string) {
	args := f.function(name+"Steps", "dst *float32, x *float32, y *float32, n int", false, "applies "+name+" to x and y.")
	f.load(args, 0, "dst", "x", "y", "n")
	f.steps(3, func() {
		f.next(1, 0)
		f.next(2, 4)
		for i := range 4 {
			f.op3(op, 4+i, i, i)
		}
		f.put(0, 0)
	})
	f.emit("RET")
}

func (f *neonFile) softmaxGrad() {
	args := f.function("softmaxGradSteps", "x *float32, p *float32, delta float32, n int", false, "computes x = p*(x-delta).")
	f.load(args, 0, "x", "p", "n")
	f.emit("FMOVS %s, F31", args["delta"])
	f.emit("VDUP V31.S[0], V31.S4")
	f.steps(2, func() {
		f.peek(0, 0)
		f.next(1, 4)
		for i := range 4 {
			f.op3("FSUB", 31, i, i)
			f.op3("FMUL", 4+i, i, i)
		}
		f.put(0, 0)
	})
	f.emit("RET")
}

// spread loads scalar parameters into all lanes of V registers from first on.
func (f *neonFile) spread(args arguments, first int, names ...string) {
	for i, n := range names {
		f.emit("FMOVS %s, F%d", args[n], first+i)
		f.emit("VDUP V%d.S[0], V%d.S4", first+i, first+i)
	}
}

// reduce emits a sum, an inner product, or the sum of the squares of x-mean, in 16 partial sums of 4 lanes while 64 elements are left and in
// 4 afterwards.
func (f *neonFile) reduce(name string, arrays ...string) {
	const x, y, n, acc, mean = 0, 1, 2, 16, 8
	parameters := strings.Join(arrays, " *float32, ") + " *float32"
	if name == "deviations" {
		parameters += ", mean float32"
	}
	args := f.function(name+"Steps", parameters+", n int", true, "returns the "+name+".")
	f.load(args, x, arrays...)
	f.load(args, n, "n")
	if name == "deviations" {
		f.spread(args, mean, "mean")
	}
	f.zero(span(acc, 16)...)
	part := func(first int) {
		f.next(x, 0)
		if name == "dot" {
			f.next(y, 4)
		}
		for i := range 4 {
			switch name {
			case "sum":
				f.op3("FADD", i, first+i, first+i)
			case "dot":
				f.fmla(4+i, i, first+i)
			case "deviations":
				f.op3("FSUB", mean, i, i)
				f.fmla(i, i, first+i)
			}
		}
	}
	f.emit("SUBS $64, R%d, R%d", n, n)
	f.emit("BLT rest")
	f.label("full")
	for i := range 4 {
		part(acc + 4*i)
	}
	f.emit("SUBS $64, R%d, R%d", n, n)
	f.emit("BGE full")
	f.label("rest")
	f.emit("ADDS $64, R%d, R%d", n, n)
	f.emit("BEQ fold")
	f.label("single")
	part(acc)
	f.emit("SUBS $16, R%d, R%d", n, n)
	f.emit("BNE single")
	f.label("fold")
	for n := 8; n >= 1; n /= 2 {
		for i := range n {
			f.op3("FADD", acc+i+n, acc+i, acc+i)
		}
	}
	f.horizontalSum(acc)
	f.emit("FMOVS F%d, %s", acc, args["ret"])
	f.emit("RET")
}

// horizontalSum adds the lanes of a register into its lowest.
func (f *neonFile) horizontalSum(v int) {
	f.op3("FADDP", v, v, v)
	f.op3("FADDP", v, v, v)
}

// maximum relies on FMAX, which hands on NaN.
func (f *neonFile) maximum() {
	args := f.function("maxSteps", "x *float32, n int", true, "returns the maximum, NaN if there is one.")
	f.load(args, 0, "x", "n")
	f.peek(0, 16)
	f.steps(1, func() {
		f.next(0, 0)
		for i := range 4 {
			f.op3("FMAX", i, 16+i, 16+i)
		}
	})
	for n := 2; n >= 1; n /= 2 {
		for i := range n {
			f.op3("FMAX", 16+i+n, 16+i, 16+i)
		}
	}
	f.op2("FMAXV", 16, 16)
	f.emit("FMOVS F16, %s", args["ret"])
	f.emit("RET")
}

// adamW follows cpu.AdamW.Step operation by operation, without fused multiplications, so that every level gives the same bits.
func (f *neonFile) adamW() {
	args := f.function("adamWSteps", "s *float32, x *float32, grad *float32, m *float32, v *float32, n int", false,
		"is the loop of AdamW.Step; s points to the scalars.")
	f.load(args, 0, "s", "x", "grad", "m", "v", "n")
	const keep, beta1, mix1, beta2, mix2, rootCorrection2, eps, rate = 0, 1, 2, 3, 4, 5, 6, 7
	const first, second, root, epsilon, zero = 24, 25, 26, 27, 28 // the scalars by fours, some in all lanes
	const g, m, v, t, x = 0, 4, 8, 12, 16
	f.emit("VLD1 (R0), %s", list(first, 2, "S4"))
	f.emit("VDUP V%d.S[%d], V%d.S4", second, rootCorrection2%4, root)
	f.emit("VDUP V%d.S[%d], V%d.S4", second, eps%4, epsilon)
	f.zero(zero)
	times := func(scalar, v, d int) { f.lane("FMUL", first+scalar/4, scalar%4, v, d) }
	f.steps(5, func() {
		f.peek(1, x)
		f.next(2, g)
		f.peek(3, m)
		f.peek(4, v)
		for i := range 4 {
			g, m, v, t := g+i, m+i, v+i, t+i
			times(beta1, m, m)
			times(mix1, g, t)
			f.op3("FADD", t, m, m)
			times(mix2, g, t)
			f.op3("FMUL", g, t, t)
			times(beta2, v, v)
			f.op3("FADD", t, v, v)
		}
		f.put(m, 3)
		f.put(v, 4)
		for i := range 4 {
			m, v, t, x := m+i, v+i, t+i, x+i
			f.op2("FSQRT", v, v)
			f.op3("FDIV", root, v, v)
			f.op3("FADD", epsilon, v, v)
			times(rate, m, t)
			f.op3("FDIV", v, t, t)
			f.op2("FCMEQ0", m, m)
			f.emit("VBIT V%d.B16, V%d.B16, V%d.B16", m, zero, t)
			times(keep, x, x)
			f.op3("FSUB", t, x, x)
		}
		f.put(x, 1)
	})
	f.emit("RET")
}

func (f *neonFile) widenVector(b storage) {
	args := f.function(fmt.Sprintf("widen%sSteps", b.name), "dst *float32, src *uint16, n int", false, "converts to float32.")
	f.load(args, 0, "dst", "src", "n")
	f.steps(2, func() {
		f.emit("VLD1.P 32(R1), [V16.H8, V17.H8]")
		f.widen(b, 16, 2, 0)
		f.put(0, 0)
	})
	f.emit("RET")
}
