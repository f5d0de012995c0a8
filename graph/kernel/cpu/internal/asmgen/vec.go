package main

import (
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// step is how many elements a turn of the loop of a vector function handles, two AVX registers. Their Go callers bring the rest of a
// vector into a buffer of this size.
const step = 16

// vectorOps writes the functions that memory limits, with AVX2 for both levels.
func vectorOps(c *build.Context) {
	axpy(c)
	scale(c)
	binary(c, "add", c.VADDPS)
	binary(c, "mul", c.VMULPS)
	softmaxGrad(c)
	norms(c)
	reduce(c, "dot", "x", "y")
	reduce(c, "sum", "x")
	reduce(c, "deviations", "x")
	maximum(c)
	adamW(c)
	widenVec(c, bf16)
	widenVec(c, f16)
}

// loop emits a function over n elements, a multiple of step. Arrays are the names of its pointer parameters; body handles the 8 elements
// at the given addresses.
type loop struct {
	*build.Context
	ptr   map[string]reg.GPVirtual
	width map[string]int // bytes an element, 4 if absent
	n     reg.GPVirtual
}

func (l *loop) open(name, signature, doc string, arrays ...string) {
	begin(l.Context, name, signature, doc)
	l.ptr = map[string]reg.GPVirtual{}
	for _, a := range arrays {
		l.ptr[a] = l.Load(l.Param(a), l.GP64()).(reg.GPVirtual)
	}
	l.n = l.Load(l.Param("n"), l.GP64()).(reg.GPVirtual)
}

func (l *loop) scalar(name string) reg.VecVirtual {
	y := l.YMM()
	addr, err := l.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	l.VBROADCASTSS(addr.Addr, y)
	return y
}

func (l *loop) bytes(a string) int {
	if w, ok := l.width[a]; ok {
		return w
	}
	return 4
}

// run emits the loop; at(a) is the address of the current elements of array a.
func (l *loop) run(body func(half int, at func(a string) operand.Mem)) {
	l.Label("loop")
	for half := range 2 {
		body(half, func(a string) operand.Mem { return operand.Mem{Base: l.ptr[a], Disp: 8 * half * l.bytes(a)} })
	}
	for _, a := range []string{"dst", "x", "y", "grad", "w", "m", "v", "p", "src"} {
		if p, ok := l.ptr[a]; ok {
			l.ADDQ(operand.U8(step*l.bytes(a)), p)
		}
	}
	l.SUBQ(operand.U8(step), l.n)
	l.JNZ(operand.LabelRef("loop"))
}

func (l *loop) close() {
	l.VZEROUPPER()
	l.RET()
}

func axpy(c *build.Context) {
	l := &loop{Context: c}
	l.open("axpySteps", "func(alpha float32, x, y *float32, n int)", "axpySteps computes y += alpha*x.", "x", "y")
	alpha := l.scalar("alpha")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMOVUPS(at("y"), y)
		c.VFMADD231PS(at("x"), alpha, y)
		c.VMOVUPS(y, at("y"))
	})
	l.close()
}

func scale(c *build.Context) {
	l := &loop{Context: c}
	l.open("scaleSteps", "func(x *float32, alpha float32, n int)", "scaleSteps computes x *= alpha.", "x")
	alpha := l.scalar("alpha")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMULPS(at("x"), alpha, y)
		c.VMOVUPS(y, at("x"))
	})
	l.close()
}

func binary(c *build.Context, name string, op func(...operand.Op)) {
	l := &loop{Context: c}
	l.open(name+"Steps", "func(dst, x, y *float32, n int)", name+"Steps applies "+name+" to x and y.", "dst", "x", "y")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMOVUPS(at("x"), y)
		op(at("y"), y, y)
		c.VMOVUPS(y, at("dst"))
	})
	l.close()
}

func softmaxGrad(c *build.Context) {
	l := &loop{Context: c}
	l.open("softmaxGradSteps", "func(x, p *float32, delta float32, n int)", "softmaxGradSteps computes x = p*(x-delta).", "x", "p")
	delta := l.scalar("delta")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMOVUPS(at("x"), y)
		c.VSUBPS(delta, y, y)
		c.VMULPS(at("p"), y, y)
		c.VMOVUPS(y, at("x"))
	})
	l.close()
}

// reduce emits a sum, an inner product, or the sum of the squares of x-mean, in 8 partial sums of 8 lanes while 64 elements are left and in
// two afterwards.
func reduce(c *build.Context, name string, arrays ...string) {
	l := &loop{Context: c}
	parameters := strings.Join(arrays, ", ") + " *float32"
	if name == "deviations" {
		parameters += ", mean float32"
	}
	l.open(name+"Steps", "func("+parameters+", n int) float32", name+"Steps returns the "+name+".", arrays...)
	var mean reg.VecVirtual
	if name == "deviations" {
		mean = l.scalar("mean")
	}
	var acc []reg.VecVirtual
	for range 8 {
		acc = append(acc, c.YMM())
		c.VXORPS(acc[len(acc)-1], acc[len(acc)-1], acc[len(acc)-1])
	}
	part := func(count int) {
		for i := range count {
			x, y := operand.Mem{Base: l.ptr["x"], Disp: 32 * i}, c.YMM()
			switch name {
			case "sum":
				c.VADDPS(x, acc[i], acc[i])
			case "dot":
				c.VMOVUPS(x, y)
				c.VFMADD231PS(operand.Mem{Base: l.ptr["y"], Disp: 32 * i}, y, acc[i])
			case "deviations":
				c.VSUBPS(x, mean, y)
				c.VFMADD231PS(y, y, acc[i])
			}
		}
		for _, a := range arrays {
			c.ADDQ(operand.I32(32*count), l.ptr[a])
		}
	}
	c.SUBQ(operand.U8(64), l.n)
	c.JLT(operand.LabelRef("rest"))
	c.Label("full")
	part(8)
	c.SUBQ(operand.U8(64), l.n)
	c.JGE(operand.LabelRef("full"))
	c.Label("rest")
	c.ADDQ(operand.U8(64), l.n)
	c.JZ(operand.LabelRef("fold"))
	c.Label("single")
	part(2)
	c.SUBQ(operand.U8(16), l.n)
	c.JNZ(operand.LabelRef("single"))
	c.Label("fold")
	for n := 4; n >= 1; n /= 2 {
		for i := range n {
			c.VADDPS(acc[i+n], acc[i], acc[i])
		}
	}
	c.Store(horizontal(c, acc[0], c.VADDPS), c.ReturnIndex(0))
	l.close()
}

// horizontal combines the lanes of a YMM register into the lowest.
func horizontal(c *build.Context, y reg.VecVirtual, op func(...operand.Op)) reg.Register {
	high, x := c.XMM(), y.AsX()
	c.VEXTRACTF128(operand.U8(1), y, high)
	op(high, x, x)
	c.VPERMILPS(operand.U8(0x0e), x, high)
	op(high, x, x)
	c.VPERMILPS(operand.U8(0x01), x, high)
	op(high, x, x)
	return x
}

// maximum notes NaNs apart, because VMAXPS forgets them.
func maximum(c *build.Context) {
	l := &loop{Context: c}
	l.open("maxSteps", "func(x *float32, n int) float32", "maxSteps returns the maximum, NaN if there is one.", "x")
	top, nan := [2]reg.VecVirtual{c.YMM(), c.YMM()}, c.YMM()
	c.VXORPS(nan, nan, nan)
	for _, t := range top {
		c.VMOVUPS(operand.Mem{Base: l.ptr["x"]}, t)
	}
	l.run(func(half int, at func(string) operand.Mem) {
		y, unordered := c.YMM(), c.YMM()
		c.VMOVUPS(at("x"), y)
		c.VCMPPS(operand.U8(3), y, y, unordered)
		c.VORPS(unordered, nan, nan)
		c.VMAXPS(y, top[half], top[half])
	})
	c.VMAXPS(top[1], top[0], top[0])
	m := horizontal(c, top[0], c.VMAXPS)
	n := horizontal(c, nan, c.VORPS)
	c.VORPS(n, m, m) // all ones is a NaN
	c.Store(m, c.ReturnIndex(0))
	l.close()
}

// adamW follows cpu.AdamW.Step operation by operation, without fused multiplications, so that every level gives the same bits.
func adamW(c *build.Context) {
	l := &loop{Context: c}
	l.open("adamWSteps", "func(s, x, grad, m, v *float32, n int)", "adamWSteps is the loop of AdamW.Step; s points to the scalars.", "x", "grad", "m", "v")
	s := c.Load(c.Param("s"), c.GP64())
	coef := func(i int) reg.VecVirtual {
		y := c.YMM()
		c.VBROADCASTSS(operand.Mem{Base: s, Disp: 4 * i}, y)
		return y
	}
	keep, beta1, mix1, beta2, mix2, root2, eps, rate := coef(0), coef(1), coef(2), coef(3), coef(4), coef(5), coef(6), coef(7)
	l.run(func(_ int, at func(string) operand.Mem) {
		g, m, v, t, nonzero := c.YMM(), c.YMM(), c.YMM(), c.YMM(), c.YMM()
		c.VMOVUPS(at("grad"), g)
		c.VMULPS(at("m"), beta1, m)
		c.VMULPS(mix1, g, t)
		c.VADDPS(t, m, m)
		c.VMOVUPS(m, at("m"))
		c.VMULPS(mix2, g, t)
		c.VMULPS(g, t, t)
		c.VMULPS(at("v"), beta2, v)
		c.VADDPS(t, v, v)
		c.VMOVUPS(v, at("v"))
		c.VSQRTPS(v, v)
		c.VDIVPS(root2, v, v)
		c.VADDPS(eps, v, v)
		c.VXORPS(t, t, t)
		c.VCMPPS(operand.U8(4), t, m, nonzero)
		c.VMULPS(rate, m, m)
		c.VDIVPS(v, m, m)
		c.VANDPS(nonzero, m, m)
		c.VMULPS(at("x"), keep, t)
		c.VSUBPS(m, t, t)
		c.VMOVUPS(t, at("x"))
	})
	l.close()
}

func widenVec(c *build.Context, s storage) {
	l := &loop{Context: c, width: map[string]int{"src": 2}}
	l.open("widen"+s.name+"Steps", "func(dst *float32, src *uint16, n int)", "widen"+s.name+"Steps converts to float32.", "dst", "src")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		if s == bf16 {
			c.VPMOVZXWD(at("src"), y)
			c.VPSLLD(operand.U8(16), y, y)
		} else {
			c.VCVTPH2PS(at("src"), y)
		}
		c.VMOVUPS(y, at("dst"))
	})
	l.close()
}
