package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectorOps64 writes the functions of float64 vectors, with AVX2 for both levels. They follow the definitions in vec64.go operation by
// operation.
func vectorOps64(c *build.Context) {
	axpy64(c)
	rotate64(c)
	gram64(c)
	sums64(c, "dot64", "func(x, y *float64, n int) float64", "returns the inner product of 4 or more elements, a multiple of 4.", dot64Terms)
	sums64(c, "squares", "func(x *float32, n int) float64", "returns the sum of squares of 4 or more elements, a multiple of 4.", squareTerms)
}

// vec64 emits a function over n elements of the arrays that ptr holds.
type vec64 struct {
	*build.Context
	ptr map[string]reg.GPVirtual
	n   reg.GPVirtual
}

func newVec64(c *build.Context, name, signature, doc string, arrays ...string) *vec64 {
	begin(c, name+"AVX2", signature, name+"AVX2 "+doc)
	v := &vec64{Context: c, ptr: map[string]reg.GPVirtual{}}
	for _, a := range arrays {
		v.ptr[a] = c.Load(c.Param(a), c.GP64()).(reg.GPVirtual)
	}
	v.n = c.Load(c.Param("n"), c.GP64()).(reg.GPVirtual)
	return v
}

func (v *vec64) scalar(name string) reg.VecVirtual {
	y := v.YMM()
	addr, err := v.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v.VBROADCASTSD(addr.Addr, y)
	return y
}

// loop emits turns of count elements while there are as many. The body advances pointers.
func (v *vec64) loop(label string, count int, body func()) {
	v.SUBQ(operand.U8(count), v.n)
	v.JLT(operand.LabelRef(label + "Done"))
	v.Label(label)
	body()
	v.SUBQ(operand.U8(count), v.n)
	v.JGE(operand.LabelRef(label))
	v.Label(label + "Done")
	v.ADDQ(operand.U8(count), v.n)
}

func (v *vec64) at(array string, vec int) operand.Mem {
	return operand.Mem{Base: v.ptr[array], Disp: 32 * vec}
}

func (v *vec64) advance(array string, bytes int) { v.ADDQ(operand.I32(bytes), v.ptr[array]) }

func (v *vec64) zeros(n int) (acc []reg.VecVirtual) {
	for range n {
		acc = append(acc, v.YMM())
		v.VXORPD(acc[len(acc)-1], acc[len(acc)-1], acc[len(acc)-1])
	}
	return acc
}

// fold returns (s0+s2)+(s1+s3) for the lanes of a register.
func (v *vec64) fold(y reg.VecVirtual) reg.Register {
	high, x := v.XMM(), y.AsX()
	v.VEXTRACTF128(operand.U8(1), y, high)
	v.VADDPD(high, x, x)
	v.VUNPCKHPD(x, x, high)
	v.VADDSD(high, x, x)
	return x
}

func (v *vec64) close() {
	v.VZEROUPPER()
	v.RET()
}

func axpy64(c *build.Context) {
	v := newVec64(c, "axpy64", "func(s float64, x, y *float64, n int)", "computes y += s*x, not fused, for a multiple of 4 elements.", "x", "y")
	s := v.scalar("s")
	turn := func(vecs int) func() {
		return func() {
			for i := range vecs {
				p := c.YMM()
				c.VMULPD(v.at("x", i), s, p)
				c.VADDPD(v.at("y", i), p, p)
				c.VMOVUPD(p, v.at("y", i))
			}
			v.advance("x", 32*vecs)
			v.advance("y", 32*vecs)
		}
	}
	v.loop("sixteen", 16, turn(4))
	v.loop("four", 4, turn(1))
	v.close()
}

func rotate64(c *build.Context) {
	v := newVec64(c, "rotate64", "func(c, s float64, a, b *float64, n int)", "computes a, b = c*a-s*b, s*a+c*b, not fused, for a multiple of 4 elements.", "a", "b")
	cos, sin := v.scalar("c"), v.scalar("s")
	turn := func(vecs int) func() {
		return func() {
			for i := range vecs {
				p, q, cp, sq := c.YMM(), c.YMM(), c.YMM(), c.YMM()
				c.VMOVUPD(v.at("a", i), p)
				c.VMOVUPD(v.at("b", i), q)
				c.VMULPD(p, cos, cp)
				c.VMULPD(q, sin, sq)
				c.VSUBPD(sq, cp, cp)
				c.VMOVUPD(cp, v.at("a", i))
				c.VMULPD(p, sin, p)
				c.VMULPD(q, cos, q)
				c.VADDPD(q, p, p)
				c.VMOVUPD(p, v.at("b", i))
			}
			v.advance("a", 32*vecs)
			v.advance("b", 32*vecs)
		}
	}
	v.loop("eight", 8, turn(2))
	v.loop("four", 4, turn(1))
	v.close()
}

// gram64 keeps two registers for each of the four inner products.
func gram64(c *build.Context) {
	v := newVec64(c, "gram64", "func(x0, x1, y0, y1 *float64, n int, p *float64)",
		"stores x0*y0, x0*y1, x1*y0, x1*y1 at p, for a multiple of 8 elements.", "x0", "x1", "y0", "y1")
	acc := v.zeros(8)
	v.loop("eight", 8, func() {
		for half := range 2 {
			x0, x1, y := c.YMM(), c.YMM(), c.YMM()
			c.VMOVUPD(v.at("x0", half), x0)
			c.VMOVUPD(v.at("x1", half), x1)
			for j, name := range []string{"y0", "y1"} {
				c.VMOVUPD(v.at(name, half), y)
				c.VFMADD231PD(y, x0, acc[4*half+j])
				c.VFMADD231PD(y, x1, acc[4*half+2+j])
			}
		}
		for _, name := range []string{"x0", "x1", "y0", "y1"} {
			v.advance(name, 64)
		}
	})
	p := c.Load(c.Param("p"), c.GP64())
	for i := range 4 {
		c.VADDPD(acc[4+i], acc[i], acc[i])
		c.VMOVSD(v.fold(acc[i]), operand.Mem{Base: p, Disp: 8 * i})
	}
	v.close()
}

// sums64 emits a sum in four registers while 16 elements are left, and in the first of them afterwards.
func sums64(c *build.Context, name, signature, doc string, terms func(v *vec64, acc []reg.VecVirtual)) {
	arrays := []string{"x"}
	if name == "dot64" {
		arrays = []string{"x", "y"}
	}
	v := newVec64(c, name, signature, doc, arrays...)
	acc := v.zeros(4)
	v.loop("sixteen", 16, func() { terms(v, acc) })
	v.loop("four", 4, func() { terms(v, acc[:1]) })
	c.VADDPD(acc[2], acc[0], acc[0])
	c.VADDPD(acc[3], acc[1], acc[1])
	c.VADDPD(acc[1], acc[0], acc[0])
	c.Store(v.fold(acc[0]), c.ReturnIndex(0))
	v.close()
}

func dot64Terms(v *vec64, acc []reg.VecVirtual) {
	for i, a := range acc {
		p := v.YMM()
		v.VMOVUPD(v.at("x", i), p)
		v.VFMADD231PD(v.at("y", i), p, a)
	}
	v.advance("x", 32*len(acc))
	v.advance("y", 32*len(acc))
}

func squareTerms(v *vec64, acc []reg.VecVirtual) {
	for i, a := range acc {
		p := v.YMM()
		v.VCVTPS2PD(operand.Mem{Base: v.ptr["x"], Disp: 16 * i}, p)
		v.VFMADD231PD(p, p, a)
	}
	v.advance("x", 16*len(acc))
}
