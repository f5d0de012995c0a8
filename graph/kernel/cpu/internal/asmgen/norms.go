package main

import (
	"strings"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// norms writes the vector functions of normalisation and its gradients.
func norms(c *build.Context) {
	normalize(c)
	scaledProduct(c)
	addNormalized(c)
	for _, weighted := range []bool{false, true} {
		normGrad(c, weighted)
		normSums(c, weighted)
	}
}

func normalize(c *build.Context) {
	l := &loop{Context: c}
	l.open("normalizeSteps", "func(dst, x *float32, mean, scale, offset float32, n int)", "normalizeSteps computes (x-mean)*scale + offset.", "dst", "x")
	mean, scale, offset := l.scalar("mean"), l.scalar("scale"), l.scalar("offset")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMOVUPS(at("x"), y)
		c.VSUBPS(mean, y, y)
		c.VFMADD213PS(offset, scale, y)
		c.VMOVUPS(y, at("dst"))
	})
	l.close()
}

func scaledProduct(c *build.Context) {
	l := &loop{Context: c}
	l.open("scaledProductSteps", "func(dst, x, y *float32, scale float32, n int)", "scaledProductSteps computes x*scale*y.", "dst", "x", "y")
	scale := l.scalar("scale")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMULPS(at("x"), scale, y)
		c.VMULPS(at("y"), y, y)
		c.VMOVUPS(y, at("dst"))
	})
	l.close()
}

func addNormalized(c *build.Context) {
	l := &loop{Context: c}
	l.open("addNormalizedSteps", "func(dst, grad, x *float32, mean, scale float32, n int)",
		"addNormalizedSteps adds grad*((x-mean)*scale).", "dst", "grad", "x")
	mean, scale := l.scalar("mean"), l.scalar("scale")
	l.run(func(_ int, at func(string) operand.Mem) {
		sum, y := c.YMM(), c.YMM()
		c.VMOVUPS(at("x"), y)
		c.VSUBPS(mean, y, y)
		c.VMULPS(scale, y, y)
		c.VMOVUPS(at("dst"), sum)
		c.VFMADD231PS(at("grad"), y, sum)
		c.VMOVUPS(sum, at("dst"))
	})
	l.close()
}

// gradient names what depends on the gradient that a function starts from: grad, or in its weighted form grad*w.
func gradient(name string, weighted bool) (function, doc string, arrays []string) {
	if weighted {
		return "weighted" + strings.ToUpper(name[:1]) + name[1:], "grad*w", []string{"grad", "w", "x"}
	}
	return name, "grad", []string{"grad", "x"}
}

func normGrad(c *build.Context, weighted bool) {
	l := &loop{Context: c}
	name, grad, arrays := gradient("normGradSteps", weighted)
	arrays = append([]string{"dst"}, arrays...)
	l.open(name, "func("+strings.Join(arrays, ", ")+" *float32, gain, mean, scale, offset float32, n int)",
		name+" computes "+grad+"*gain + (x-mean)*scale + offset.", arrays...)
	gain, mean, scale, offset := l.scalar("gain"), l.scalar("mean"), l.scalar("scale"), l.scalar("offset")
	l.run(func(_ int, at func(string) operand.Mem) {
		y := c.YMM()
		c.VMOVUPS(at("x"), y)
		c.VSUBPS(mean, y, y)
		c.VFMADD213PS(offset, scale, y)
		if weighted {
			g := c.YMM()
			c.VMOVUPS(at("grad"), g)
			c.VMULPS(at("w"), g, g)
			c.VFMADD231PS(g, gain, y)
		} else {
			c.VFMADD231PS(at("grad"), gain, y)
		}
		c.VMOVUPS(y, at("dst"))
	})
	l.close()
}

// normSums keeps 4 partial sums of 8 lanes of each kind while 32 elements are left, and two for the last 16.
func normSums(c *build.Context, weighted bool) {
	l := &loop{Context: c}
	name, grad, arrays := gradient("normSumsSteps", weighted)
	l.open(name, "func("+strings.Join(arrays, ", ")+" *float32, mean float32, n int, p *float32)",
		name+" stores the sums of "+grad+" and "+grad+"*(x-mean) at p.", arrays...)
	mean, out := l.scalar("mean"), c.Load(c.Param("p"), c.GP64())
	var sum, pull [4]reg.VecVirtual
	for i := range sum {
		sum[i], pull[i] = c.YMM(), c.YMM()
		c.VXORPS(sum[i], sum[i], sum[i])
		c.VXORPS(pull[i], pull[i], pull[i])
	}
	part := func(count int) {
		for i := range count {
			at := func(a string) operand.Mem { return operand.Mem{Base: l.ptr[a], Disp: 32 * i} }
			g, y := c.YMM(), c.YMM()
			c.VMOVUPS(at("grad"), g)
			if weighted {
				c.VMULPS(at("w"), g, g)
			}
			c.VMOVUPS(at("x"), y)
			c.VSUBPS(mean, y, y)
			c.VADDPS(g, sum[i], sum[i])
			c.VFMADD231PS(g, y, pull[i])
		}
		for _, a := range arrays {
			c.ADDQ(operand.I32(32*count), l.ptr[a])
		}
	}
	c.SUBQ(operand.U8(32), l.n)
	c.JLT(operand.LabelRef("rest"))
	c.Label("full")
	part(4)
	c.SUBQ(operand.U8(32), l.n)
	c.JGE(operand.LabelRef("full"))
	c.Label("rest")
	c.ADDQ(operand.U8(32), l.n)
	c.JZ(operand.LabelRef("fold"))
	part(2)
	c.Label("fold")
	for n := 2; n >= 1; n /= 2 {
		for i := range n {
			c.VADDPS(sum[i+n], sum[i], sum[i])
			c.VADDPS(pull[i+n], pull[i], pull[i])
		}
	}
	c.VMOVSS(horizontal(c, sum[0], c.VADDPS), operand.Mem{Base: out})
	c.VMOVSS(horizontal(c, pull[0], c.VADDPS), operand.Mem{Base: out, Disp: 4})
	l.close()
}
