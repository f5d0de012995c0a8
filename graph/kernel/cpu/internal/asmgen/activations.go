package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// activationStep is how many elements a turn of the loop of these kernels handles at most. Their Go callers bring the rest of a vector into
// buffers of this size.
const activationStep = 64

// Offsets of the fields of cpu.activationCall, which a test of package cpu compares with the compiler's.
const (
	activationN = 0
	activationX = 8
	activationA = 16
	activationB = 24
	activationY = 32
	activationZ = 40
)

// activationNames and activationForms are in the order of cpu.Activation and cpu.activationForm.
var (
	activationNames = []string{"silu", "gelu", "geluTanh"}
	activationForms = []activationForm{
		{"Value", "y = f(x)", false, "", "y"},
		{"Slope", "y = a f'(x)", true, "a", ""},
		{"Gated", "y = a f(x)", false, "a", "y"},
		{"GatedSlope", "y = a b f'(x)", true, "ab", ""},
		{"Both", "y = a b f'(x), z = a f(x)", true, "ab", "z"},
	}
)

// activationForm is what a kernel computes with a function f: a product with its derivative to y, its own product with a elsewhere.
type activationForm struct {
	name, doc string
	slope     bool   // whether y receives the derivative, times all factors
	factors   string // operands besides x
	value     string // what receives the function itself, "" for nothing
}

// activationKernels returns the names of the kernels of a level in the order of their numbers.
func activationKernels(isa string) []string {
	var names []string
	for _, form := range activationForms {
		for _, f := range activationNames {
			names = append(names, f+form.name+isa)
		}
	}
	return names
}

// activationConstants returns the constants of the activations. From the limits on, negative values count as 0; before, nothing leaves the
// range of normal numbers, where processors are fast. The polynomial n0 to n7 in v = (a-k)/(a+k), k = 3.1, is (1/2 - Φ(-a)/e^(-a²/2))/a up
// to an error of 1.7e-8 (1 + a²/2) of Φ(-a), of which the second term is what a rounding of a does anyway.
func activationConstants() []constant {
	const scale = 2 * math.Sqrt2 / math.SqrtPi // of v in geluTanh's σ(v)
	return append(expConstants(),
		real("round", 1.5*(1<<23)), real("ln2", math.Ln2), // one part of ln 2 does, because the whole part of z/ln 2 has 7 bits
		real("siluLimit", -87.3), real("geluLimit", -12.8), real("geluTanhLimit", -9.99),
		real("v0", scale), real("v2", scale*0.044715), real("dv2", 3*scale*0.044715),
		real("half", 0.5), real("-half", -0.5), real("density", 1/(math.Sqrt2*math.SqrtPi)), real("k", 3.1),
		real("n0", 0.123173154), real("n1", -0.1810736863), real("n2", 0.07573218874), real("n3", -0.01960264629), real("n4", 0.0007300976911),
		real("n5", 0.001326476982), real("n6", -0.0001710317285), real("n7", -0.0001281876486))
}

// activations writes the kernels of cpu.Activation for both levels. All three functions have f(x) = max(x, 0) + f(-|x|) and
// f'(x) = 1 - f'(-x), so that only f(m) = m q(m) and f'(m) for m = -|x| <= 0 are computed, where nothing overflows and little cancels.
func activations(c *build.Context) {
	k := newConstants(c, activationConstants())
	for _, lanes := range []int{8, 16} {
		g := &activationGen{curveGen: curveGen{Context: c, constants: k, lanes: lanes, width: lanes / 4}}
		functions := []tail{g.silu, g.gelu, g.geluTanh}
		for _, form := range activationForms {
			for i, f := range activationNames {
				g.limit = f + "Limit"
				g.kernel(f+form.name+isaName(lanes), form, functions[i])
			}
		}
	}
}

// activationGen emits the kernels of one level.
type activationGen struct {
	curveGen
	limit string // constant beyond which f(m) and f'(m) are 0
	near  ops    // masks of the elements within it
}

// tail returns q(m) and a way to compute f'(m).
type tail func(m vecs) (q vecs, slope func() vecs)

// kernel emits one kernel. All operands are read before a result is written, which may lie over them.
func (g *activationGen) kernel(name string, form activationForm, f tail) {
	begin(g.Context, name, "func(c *byte)", fmt.Sprintf("%s computes %s for n elements, a multiple of %d.", name, form.doc, activationStep))
	call := g.Load(g.Param("c"), g.GP64())
	field := func(offset int) reg.GPVirtual {
		r := g.GP64()
		g.MOVQ(operand.Mem{Base: call, Disp: offset}, r)
		return r
	}
	index := field(activationN)        // from -4n to 0
	elements := func(offset int) ops { // of the vector whose end the register points to
		end := field(offset)
		g.LEAQ(operand.Mem{Base: end, Index: index, Scale: 4}, end)
		return g.at(operand.Mem{Base: end, Index: index, Scale: 1})
	}
	x, y := elements(activationX), elements(activationY)
	var factors []ops
	for i := range form.factors {
		factors = append(factors, elements(activationA+8*i))
	}
	values := y
	if form.value == "z" {
		values = elements(activationZ)
	}
	zero := g.vec()
	g.VXORPS(zero, zero, zero)
	g.SHLQ(operand.U8(2), index)
	g.NEGQ(index)
	g.Label("loop")
	v := g.vecs()
	g.each(g.VMOVUPS, x, v)
	m := g.minusAbs(v)
	q, slope := f(m)
	var d vecs
	if form.slope {
		d = slope()
		g.reflect(x, d)
		for _, f := range factors {
			g.each(g.VMULPS, f, d, d)
		}
	}
	if form.value != "" {
		g.each(g.VMAXPS, x, zero, v)
		g.each(g.VFMADD231PS, q, m, v)
		if len(factors) > 0 {
			g.each(g.VMULPS, factors[0], v, v)
		}
		g.each(g.VMOVUPS, v, values)
	}
	if form.slope {
		g.each(g.VMOVUPS, d, y)
	}
	g.ADDQ(operand.I32(4*g.width*g.lanes), index)
	g.JNZ(operand.LabelRef("loop"))
	g.VZEROUPPER()
	g.RET()
}

// minusAbs returns -|x|, but not less than the limit, and notes where it is. NaN stays, because VMAXPS then returns its first operand here.
func (g *activationGen) minusAbs(x vecs) vecs {
	const greater = 0x1e
	m, limit := g.vecs(), g.register(g.limit)
	g.near = g.masks()
	g.each(g.VORPS, "sign", x, m)
	g.each(g.VCMPPS, operand.U8(greater), limit, m, g.near)
	g.each(g.VMAXPS, m, limit, m)
	return m
}

// reflect turns d = f'(-|x|) into f'(x).
func (g *activationGen) reflect(x ops, d vecs) {
	one := g.register("one")
	if g.lanes == 16 {
		positive := g.masks()
		g.each(g.VPTESTNMD, x, g.register("sign"), positive)
		g.each(g.VSUBPS, d, one, positive, d)
		return
	}
	e, sign := g.vecs(), g.vecs()
	g.each(g.VSUBPS, d, one, e)
	g.each(g.VMOVUPS, x, sign)
	g.each(of4(g.VBLENDVPS), sign, d, e, d)
}

// exp returns e^z for z from -87.3 to 0, and 0 beyond the limit. Adding 3·2²² rounds z/ln 2 and leaves the result in the lowest bits.
func (g *activationGen) exp(z vecs) vecs {
	t, r := g.load("round"), g.vecs()
	g.each(g.VFMADD231PS, "log2e", z, t)
	g.each(g.VSUBPS, "round", t, r)
	g.each(g.VFNMADD132PS, "ln2", z, r)
	p := g.series(r)
	g.each(g.VPSLLD, operand.U8(23), t, t)
	if g.lanes == 16 {
		g.each(of4(g.VPADDD_Z), t, p, g.near, p)
	} else {
		g.each(g.VPADDD, t, p, p)
		g.each(g.VANDPS, g.near, p, p)
	}
	return p
}

// sigmoid returns e^z/(1+e^z).
func (g *activationGen) sigmoid(z vecs) vecs {
	e, d := g.exp(z), g.vecs()
	g.each(g.VADDPS, "one", e, d)
	g.each(g.VDIVPS, d, e, d)
	return d
}

// silu has q = σ(m) and the derivative q (1 + m (1-q)).
func (g *activationGen) silu(m vecs) (q vecs, slope func() vecs) {
	q = g.sigmoid(m)
	return q, func() vecs {
		d := g.load("one")
		g.each(g.VSUBPS, q, d, d)
		g.each(g.VFMADD213PS, "one", m, d)
		g.each(g.VMULPS, q, d, d)
		return d
	}
}

// geluTanh has q = σ(v) with v = 2√(2/π) (m + 0.044715 m³), for (1 + tanh u)/2 is σ(2u), and the derivative q (1 + m (1-q) v').
func (g *activationGen) geluTanh(m vecs) (q vecs, slope func() vecs) {
	square, v := g.vecs(), g.load("v2")
	g.each(g.VMULPS, m, m, square)
	g.each(g.VFMADD213PS, "v0", square, v)
	g.each(g.VMULPS, m, v, v)
	q = g.sigmoid(v)
	return q, func() vecs {
		d, e := g.load("one"), g.load("dv2")
		g.each(g.VSUBPS, q, d, d)
		g.each(g.VMULPS, m, d, d)
		g.each(g.VFMADD213PS, "v0", square, e)
		g.each(g.VFMADD213PS, "one", e, d)
		g.each(g.VMULPS, q, d, d)
		return d
	}
}

// gelu has q = Φ(m) = e^(-m²/2) (1/2 + m N) with the polynomial N, and the derivative e^(-m²/2) (1/2 + m (N + 1/√(2π))).
func (g *activationGen) gelu(m vecs) (q vecs, slope func() vecs) {
	z, d, v := g.vecs(), g.vecs(), g.vecs()
	g.each(g.VMULPS, "-half", m, z)
	g.each(g.VMULPS, m, z, z)
	e := g.exp(z)
	g.each(g.VSUBPS, "k", m, d)
	g.each(g.VADDPS, "k", m, v)
	g.each(g.VDIVPS, d, v, v)
	n := g.horner(v, "n7", "n6", "n5", "n4", "n3", "n2", "n1", "n0")
	q = g.load("half")
	g.each(g.VFMADD231PS, n, m, q)
	g.each(g.VMULPS, e, q, q)
	return q, func() vecs {
		g.each(g.VADDPS, "density", n, n)
		g.each(g.VFMADD213PS, "half", m, n)
		g.each(g.VMULPS, e, n, n)
		return n
	}
}
