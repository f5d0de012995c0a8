package main

import "fmt"

// neonActivations writes the kernels of cpu.Activation, by the formulas of activationGen.
func neonActivations(f *neonFile) {
	g := &neonActivation{neonCurve: newNeonCurve(f, activationConstants())}
	functions := []neonTail{g.silu, g.gelu, g.geluTanh}
	for _, form := range activationForms {
		for i, name := range activationNames {
			g.limit = name + "Limit"
			g.kernel(name+form.name+"NEON", form, functions[i])
		}
	}
	f.table("activationNEON", "c *activationCall", activationKernels("NEON"))
}

// neonActivation emits the kernels.
type neonActivation struct {
	*neonCurve
	limit string  // constant beyond which f(m) and f'(m) are 0
	near  quartet // masks of the elements within it
}

// neonTail returns q(m) and a way to compute f'(m).
type neonTail func(m quartet) (q quartet, slope func() quartet)

// kernel emits one kernel. All operands are read before a result is written, which may lie over them.
func (g *neonActivation) kernel(name string, form activationForm, f neonTail) {
	const call, n, x, y, z, factors = 0, 1, 2, 3, 4, 5 // R registers
	args := g.function(name, "c *byte", false, fmt.Sprintf("computes %s for n elements, a multiple of %d.", form.doc, activationStep))
	g.load(args, call, "c")
	field := func(offset, r int) { g.emit("MOVD %d(R%d), R%d", offset, call, r) }
	field(activationN, n)
	field(activationX, x)
	field(activationY, y)
	pointers := []int{x, y}
	for i := range form.factors {
		field(activationA+8*i, factors+i)
		pointers = append(pointers, factors+i)
	}
	values := y
	if form.value == "z" {
		values = z
		field(activationZ, z)
		pointers = append(pointers, z)
	}
	g.emit("MOVD $curveConstants<>(SB), R%d", curveTable)
	g.steps(n, func() {
		m := g.minusAbs(x)
		q, slope := f(m)
		var d, v quartet
		if form.slope {
			d = slope()
			g.reflect(x, d)
			for i := range form.factors {
				g.times(factors+i, d)
			}
		}
		if form.value != "" {
			v = g.fetch(x)
			zero := g.vec()
			g.zero(zero)
			g.op("FMAX", quartet{zero, zero, zero, zero}, v, v)
			g.add(m, q, v)
			if form.factors != "" {
				g.times(factors, v)
			}
			g.store(v, values)
		}
		if form.slope {
			g.store(d, y)
		}
		g.advance(pointers...)
		g.used = [32]bool{}
	})
	g.emit("RET")
}

// times multiplies d by the elements at a pointer.
func (g *neonActivation) times(pointer int, d quartet) {
	v := g.fetch(pointer)
	g.op("FMUL", v, d, d)
	g.release(v)
}

// minusAbs returns -|x|, but not less than the limit, and notes where it is. FMAX hands on NaN.
func (g *neonActivation) minusAbs(x int) quartet {
	m := g.fetch(x)
	g.near = g.vecs()
	g.bits("VORR", "sign", m, m)
	g.same(g.limit, func(limit quartet) {
		g.op("FCMGT", limit, m, g.near)
		g.op("FMAX", limit, m, m)
	})
	return m
}

// reflect turns d = f'(-|x|) into f'(x).
func (g *neonActivation) reflect(x int, d quartet) {
	v, e := g.fetch(x), g.vecs()
	g.same("one", func(one quartet) { g.op("FSUB", d, one, e) })
	g.single("CMGE0", v, v) // as integers: the sign is 0
	g.plain("VBIT", "B16", v, e, d)
	g.release(v, e)
}

// exp returns e^z for z from -87.3 to 0, and 0 beyond the limit; it overwrites z and gives the masks back. Adding 3·2²² rounds z/ln 2 and leaves the result in the
// lowest bits.
func (g *neonActivation) exp(z quartet) quartet {
	t, n := g.fill("round"), g.vecs()
	g.same("log2e", func(c quartet) { g.add(c, z, t) })
	g.same("round", func(c quartet) { g.op("FSUB", c, t, n) })
	g.same("ln2", func(c quartet) { g.subtract(c, n, z) })
	g.release(n)
	p := g.series(z)
	g.shiftLeft(23, t)
	g.plain("VADD", "S4", t, p, p)
	g.plain("VAND", "B16", g.near, p, p)
	g.release(t, g.near)
	return p
}

// sigmoid returns e^z/(1+e^z) and overwrites z.
func (g *neonActivation) sigmoid(z quartet) quartet {
	e := g.exp(z)
	g.same("one", func(one quartet) { g.op("FADD", one, e, z) })
	g.op("FDIV", z, e, e)
	return e
}

func (g *neonActivation) silu(m quartet) (q quartet, slope func() quartet) {
	z := g.copy(m)
	q = g.sigmoid(z)
	g.release(z)
	return q, func() quartet {
		e, d := g.fill("one"), g.fill("one")
		g.op("FSUB", q, e, e)
		g.add(e, m, d)
		g.op("FMUL", q, d, d)
		g.release(e)
		return d
	}
}

func (g *neonActivation) geluTanh(m quartet) (q quartet, slope func() quartet) {
	square, v := g.vecs(), g.fill("v0")
	g.op("FMUL", m, m, square)
	g.same("v2", func(c quartet) { g.add(c, square, v) })
	g.op("FMUL", m, v, v)
	q = g.sigmoid(v)
	g.release(v)
	return q, func() quartet {
		dv, d := g.fill("v0"), g.fill("one")
		g.same("dv2", func(c quartet) { g.add(c, square, dv) })
		g.op("FSUB", q, d, square)
		g.op("FMUL", m, square, square)
		g.add(dv, square, d)
		g.op("FMUL", q, d, d)
		g.release(dv, square)
		return d
	}
}

func (g *neonActivation) gelu(m quartet) (q quartet, slope func() quartet) {
	z := g.vecs()
	g.same("-half", func(c quartet) { g.op("FMUL", c, m, z) })
	g.op("FMUL", m, z, z)
	e := g.exp(z)
	g.release(z)
	d, v := g.vecs(), g.vecs()
	g.same("k", func(k quartet) {
		g.op("FSUB", k, m, d)
		g.op("FADD", k, m, v)
	})
	g.op("FDIV", d, v, v)
	g.release(d)
	n := g.horner(v, "n7", "n6", "n5", "n4", "n3", "n2", "n1", "n0")
	g.release(v)
	q = g.fill("half")
	g.add(n, m, q)
	g.op("FMUL", e, q, q)
	return q, func() quartet {
		g.with("FADD", "density", n)
		d := g.fill("half")
		g.add(n, m, d)
		g.op("FMUL", e, d, d)
		g.release(n, e)
		return d
	}
}
