package main

import "strings"

// norms writes the functions of norms of amd64 with the same names and contracts.
func (f *neonFile) norms() {
	f.normalize()
	f.scaledProduct()
	f.addNormalized()
	for _, weighted := range []bool{false, true} {
		f.normGrad(weighted)
		f.normSums(weighted)
	}
}

func (f *neonFile) normalize() {
	args := f.function("normalizeSteps", "dst *float32, x *float32, mean float32, scale float32, offset float32, n int", false,
		"computes (x-mean)*scale + offset.")
	const mean, scale, offset = 29, 30, 31
	f.load(args, 0, "dst", "x", "n")
	f.spread(args, mean, "mean", "scale", "offset")
	f.steps(2, func() {
		f.next(1, 0)
		f.affine(mean, scale, offset)
		f.put(4, 0)
	})
	f.emit("RET")
}

// affine computes V4 to V7 = (x-mean)*scale + offset from V0 to V3.
func (f *neonFile) affine(mean, scale, offset int) {
	for i := range 4 {
		f.op3("FSUB", mean, i, i)
		f.emit("VMOV V%d.B16, V%d.B16", offset, 4+i)
		f.fmla(scale, i, 4+i)
	}
}

func (f *neonFile) scaledProduct() {
	args := f.function("scaledProductSteps", "dst *float32, x *float32, y *float32, scale float32, n int", false, "computes x*scale*y.")
	f.load(args, 0, "dst", "x", "y", "n")
	f.emit("FMOVS %s, F31", args["scale"])
	f.steps(3, func() {
		f.next(1, 0)
		f.next(2, 4)
		for i := range 4 {
			f.lane("FMUL", 31, 0, i, i)
			f.op3("FMUL", 4+i, i, i)
		}
		f.put(0, 0)
	})
	f.emit("RET")
}

func (f *neonFile) addNormalized() {
	args := f.function("addNormalizedSteps", "dst *float32, grad *float32, x *float32, mean float32, scale float32, n int", false,
		"adds grad*((x-mean)*scale).")
	const mean, scale = 30, 31
	f.load(args, 0, "dst", "grad", "x", "n")
	f.spread(args, mean, "mean", "scale")
	f.steps(3, func() {
		f.peek(0, 0)
		f.next(1, 4)
		f.next(2, 8)
		for i := range 4 {
			f.op3("FSUB", mean, 8+i, 8+i)
			f.op3("FMUL", scale, 8+i, 8+i)
			f.fmla(4+i, 8+i, i)
		}
		f.put(0, 0)
	})
	f.emit("RET")
}

// nextGradient loads 16 elements of grad into V registers from v on, in a weighted function of grad*w.
func (f *neonFile) nextGradient(weighted bool, grad, w, v int) {
	f.next(grad, v)
	if weighted {
		f.next(w, v+8)
		for i := range 4 {
			f.op3("FMUL", v+8+i, v+i, v+i)
		}
	}
}

func (f *neonFile) normGrad(weighted bool) {
	name, parameters, doc := neonGradient("normGradSteps", weighted)
	args := f.function(name, "dst *float32, "+parameters+", gain float32, mean float32, scale float32, offset float32, n int", false,
		"computes "+doc+"*gain + (x-mean)*scale + offset.")
	const dst, grad, x, n, w, gain, mean, scale, offset = 0, 1, 2, 3, 4, 28, 29, 30, 31
	f.load(args, dst, "dst", "grad", "x", "n")
	if weighted {
		f.load(args, w, "w")
	}
	f.spread(args, gain, "gain", "mean", "scale", "offset")
	f.steps(n, func() {
		f.next(x, 0)
		f.affine(mean, scale, offset)
		f.nextGradient(weighted, grad, w, 0)
		for i := range 4 {
			f.fmla(gain, i, 4+i)
		}
		f.put(4, dst)
	})
	f.emit("RET")
}

// normSums keeps 4 partial sums of 4 lanes of each kind.
func (f *neonFile) normSums(weighted bool) {
	name, parameters, doc := neonGradient("normSumsSteps", weighted)
	args := f.function(name, parameters+", mean float32, n int, p *float32", false,
		"stores the sums of "+doc+" and "+doc+"*(x-mean) at p.")
	const grad, x, n, p, w, sum, pull, mean = 0, 1, 2, 3, 4, 16, 20, 31
	f.load(args, grad, "grad", "x", "n", "p")
	if weighted {
		f.load(args, w, "w")
	}
	f.spread(args, mean, "mean")
	f.zero(span(sum, 8)...)
	f.steps(n, func() {
		f.nextGradient(weighted, grad, w, 0)
		f.next(x, 4)
		for i := range 4 {
			f.op3("FSUB", mean, 4+i, 4+i)
			f.op3("FADD", i, sum+i, sum+i)
			f.fmla(4+i, i, pull+i)
		}
	})
	for i, acc := range []int{sum, pull} {
		for n := 2; n >= 1; n /= 2 {
			for i := range n {
				f.op3("FADD", acc+i+n, acc+i, acc+i)
			}
		}
		f.horizontalSum(acc)
		f.emit("FMOVS F%d, %d(R%d)", acc, 4*i, p)
	}
	f.emit("RET")
}

// neonGradient is gradient for the declarations of arm64.
func neonGradient(name string, weighted bool) (function, parameters, doc string) {
	function, doc, arrays := gradient(name, weighted)
	return function, strings.Join(arrays, " *float32, ") + " *float32", doc
}
