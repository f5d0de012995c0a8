package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// laneBytes is the size of an element of four interleaved float64 matrices: one AVX register.
const laneBytes = 32

// lanes writes the kernels for four float64 matrices side by side. AVX2 serves both levels.
func lanes(c *build.Context) {
	mulSubLanes(c)
	solveLanes(c, false)
	solveLanes(c, true)
	eliminateLanes(c)
	pivotLanes(c)
	subLanes(c)
	spreadLanes(c)
	gatherLanes(c)
}

// laneArgs opens a function and loads its arguments.
func laneArgs(c *build.Context, name, signature, doc string, args ...string) []reg.GPVirtual {
	begin(c, name+"LanesAVX2", signature, name+"LanesAVX2 "+doc)
	var regs []reg.GPVirtual
	for _, a := range args {
		regs = append(regs, c.Load(c.Param(a), c.GP64()).(reg.GPVirtual))
	}
	return regs
}

// laneTile emits c -= a*b for one or two rows and a few columns, with all elements of c in registers.
type laneTile struct {
	*build.Context
	a, rsa, b, ldb, c, ldc reg.GPVirtual
	aAt, bAt, k            reg.GPVirtual
	acc                    []reg.VecVirtual
}

func newLaneTile(c *build.Context) *laneTile {
	t := &laneTile{Context: c, aAt: c.GP64(), bAt: c.GP64(), k: c.GP64()}
	for range 8 {
		t.acc = append(t.acc, c.YMM())
	}
	return t
}

// widths emits code for all columns: by the first width as often as it fits, by each further one at most once. It consumes cols.
func (t *laneTile) widths(name string, cols reg.GPVirtual, tile func(width int), widths ...int) {
	for i, width := range widths {
		again, next := fmt.Sprintf("%s%d", name, width), fmt.Sprintf("%sBelow%d", name, width)
		t.CMPQ(cols, operand.U8(width))
		t.JLT(operand.LabelRef(next))
		t.Label(again)
		tile(width)
		t.SUBQ(operand.U8(width), cols)
		if i == 0 {
			t.CMPQ(cols, operand.U8(width))
			t.JGE(operand.LabelRef(again))
		}
		t.Label(next)
	}
}

// run emits a tile with k terms, which it consumes; scale, if not nil, is what its only row is multiplied by in the end.
func (t *laneTile) run(name string, rows, width int, scale operand.Op) {
	eachC := func(f func(mem operand.Mem, acc reg.VecVirtual)) {
		for j := range width {
			f(operand.Mem{Base: t.c, Disp: laneBytes * j}, t.acc[j])
			if rows == 2 {
				f(operand.Mem{Base: t.c, Index: t.ldc, Scale: 1, Disp: laneBytes * j}, t.acc[width+j])
			}
		}
	}
	eachC(func(mem operand.Mem, acc reg.VecVirtual) { t.VMOVUPD(mem, acc) })
	t.MOVQ(t.a, t.aAt)
	t.MOVQ(t.b, t.bAt)
	loop, done := fmt.Sprintf("%sTerms%d", name, width), fmt.Sprintf("%sDone%d", name, width)
	t.TESTQ(t.k, t.k)
	t.JZ(operand.LabelRef(done))
	t.Label(loop)
	a0, a1, b := t.YMM(), t.YMM(), t.YMM()
	t.VMOVUPD(operand.Mem{Base: t.aAt}, a0)
	if rows == 2 {
		t.VMOVUPD(operand.Mem{Base: t.aAt, Index: t.rsa, Scale: 1}, a1)
	}
	for j := range width {
		mem := operand.Mem{Base: t.bAt, Disp: laneBytes * j}
		if rows == 1 {
			t.VFNMADD231PD(mem, a0, t.acc[j])
			continue
		}
		t.VMOVUPD(mem, b)
		t.VFNMADD231PD(b, a0, t.acc[j])
		t.VFNMADD231PD(b, a1, t.acc[width+j])
	}
	t.ADDQ(operand.U8(laneBytes), t.aAt)
	t.ADDQ(t.ldb, t.bAt)
	t.DECQ(t.k)
	t.JNZ(operand.LabelRef(loop))
	t.Label(done)
	if scale != nil {
		t.VMOVUPD(scale, a0)
	}
	eachC(func(mem operand.Mem, acc reg.VecVirtual) {
		if scale != nil {
			t.VMULPD(a0, acc, acc)
		}
		t.VMOVUPD(acc, mem)
	})
}

func mulSubLanes(c *build.Context) {
	r := laneArgs(c, "mulSub", "func(k int, a *float64, rsa int, b *float64, ldb int, c *float64, ldc, rows, cols int)",
		"computes c -= a*b in each of four lanes. Strides in bytes.", "a", "rsa", "b", "ldb", "c", "ldc", "rows")
	t, rows := newLaneTile(c), r[6]
	a, b := r[0], r[2]
	cRow, cols := r[4], c.GP64()
	t.a, t.rsa, t.b, t.ldb, t.c, t.ldc = a, r[1], c.GP64(), r[3], c.GP64(), r[5]
	strip := func(height int, widths ...int) {
		c.MOVQ(b, t.b)
		c.MOVQ(cRow, t.c)
		c.Load(c.Param("cols"), cols)
		name := fmt.Sprintf("rows%d", height)
		t.widths(name, cols, func(width int) {
			c.Load(c.Param("k"), t.k)
			t.run(name, height, width, nil)
			c.ADDQ(operand.I32(laneBytes*width), t.b)
			c.ADDQ(operand.I32(laneBytes*width), t.c)
		}, widths...)
	}
	c.SUBQ(operand.U8(2), rows)
	c.JLT(operand.LabelRef("last"))
	c.Label("pair")
	strip(2, 4, 2, 1)
	for range 2 {
		c.ADDQ(t.rsa, a)
		c.ADDQ(t.ldc, cRow)
	}
	c.SUBQ(operand.U8(2), rows)
	c.JGE(operand.LabelRef("pair"))
	c.Label("last")
	c.ADDQ(operand.U8(2), rows)
	c.JZ(operand.LabelRef("done"))
	strip(1, 8, 4, 2, 1)
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// solveLanes emits substitution, forward for a unit lower triangle and backward for an upper one: strip by strip of columns, in each
// row by row.
func solveLanes(c *build.Context, upper bool) {
	name, signature, doc := "solveLower", "func(m *float64, ldm int, y *float64, ldy, n, cols int)",
		"replaces n rows of y by the product with the inverse of the unit lower triangle of m, in each of four lanes."
	if upper {
		name, signature = "solveUpper", "func(m *float64, ldm int, inverses, y *float64, ldy, n, cols int)"
		doc = "is solveLowerLanesAVX2 for the upper triangle of m, with the inverses of its diagonal."
	}
	r := laneArgs(c, name, signature, doc, "m", "ldm", "y", "ldy", "cols")
	m, ldm, top, ldy, cols := r[0], r[1], r[2], r[3], r[4]
	t, left := newLaneTile(c), c.GP64()
	t.a, t.b, t.ldb, t.c = c.GP64(), c.GP64(), ldy, c.GP64()
	strip := func(width int) {
		c.Load(c.Param("n"), left)
		c.MOVQ(m, t.a)
		if upper {
			solveUpperStrip(t, ldm, top, left, width)
		} else {
			solveLowerStrip(t, ldm, top, left, width)
		}
		c.ADDQ(operand.I32(laneBytes*width), top)
	}
	t.widths("strip", cols, strip, 8, 4, 2, 1)
	c.VZEROUPPER()
	c.RET()
}

// solveLowerStrip goes down from the second row: a is the row of the triangle, b the top of the strip, and one more row is done each time.
func solveLowerStrip(t *laneTile, ldm, top, left reg.GPVirtual, width int) {
	again, done, terms := fmt.Sprintf("row%d", width), fmt.Sprintf("rowsDone%d", width), t.GP64()
	t.MOVQ(top, t.b)
	t.MOVQ(top, t.c)
	t.XORQ(terms, terms)
	t.DECQ(left)
	t.JZ(operand.LabelRef(done))
	t.Label(again)
	t.ADDQ(ldm, t.a)
	t.ADDQ(t.ldb, t.c)
	t.INCQ(terms)
	t.MOVQ(terms, t.k)
	t.run("lower", 1, width, nil)
	t.DECQ(left)
	t.JNZ(operand.LabelRef(again))
	t.Label(done)
}

// solveUpperStrip goes up from the last row: a points behind the diagonal of the triangle, b below the row.
func solveUpperStrip(t *laneTile, ldm, top, left reg.GPVirtual, width int) {
	again, terms, at := fmt.Sprintf("row%d", width), t.GP64(), t.GP64()
	t.MOVQ(left, at)
	t.DECQ(at)
	t.MOVQ(at, t.c)
	t.IMULQ(t.ldb, t.c)
	t.ADDQ(top, t.c)
	t.MOVQ(at, terms)
	t.IMULQ(ldm, terms)
	t.ADDQ(terms, t.a)
	t.SHLQ(operand.U8(5), at)
	t.ADDQ(at, t.a)
	t.ADDQ(operand.U8(laneBytes), t.a) // behind the last element of the diagonal
	inverses := t.GP64()
	t.Load(t.Param("inverses"), inverses)
	t.ADDQ(at, inverses)
	t.XORQ(terms, terms)
	t.Label(again)
	t.MOVQ(t.c, t.b)
	t.ADDQ(t.ldb, t.b)
	t.MOVQ(terms, t.k)
	t.run("upper", 1, width, operand.Mem{Base: inverses})
	t.INCQ(terms)
	t.SUBQ(t.ldb, t.c)
	t.SUBQ(ldm, t.a)
	t.SUBQ(operand.U8(laneBytes), t.a)
	t.SUBQ(operand.U8(laneBytes), inverses)
	t.DECQ(left)
	t.JNZ(operand.LabelRef(again))
}

// eliminateLanes emits one loop over rows for each number of columns right of the one that is eliminated, up to 7.
func eliminateLanes(c *build.Context) {
	r := laneArgs(c, "eliminate", "func(m *float64, ldm int, inverse *float64, rows, cols int)",
		"scales column 0 below row 0 by inverse and subtracts its products with row 0 from the cols <= 7 columns right of it; rows counts those below.",
		"m", "ldm", "inverse", "rows", "cols")
	m, ldm, rows, cols := r[0], r[1], r[3], r[4]
	inverse, l, x := c.YMM(), c.YMM(), c.YMM()
	c.VMOVUPD(operand.Mem{Base: r[2]}, inverse)
	for width := 7; width >= 0; width-- {
		next, loop := fmt.Sprintf("below%d", width), fmt.Sprintf("row%d", width)
		c.CMPQ(cols, operand.U8(width))
		c.JNE(operand.LabelRef(next))
		var top []reg.VecVirtual
		for j := range width {
			top = append(top, c.YMM())
			c.VMOVUPD(operand.Mem{Base: m, Disp: laneBytes * (j + 1)}, top[j])
		}
		c.Label(loop)
		c.ADDQ(ldm, m)
		c.VMULPD(operand.Mem{Base: m}, inverse, l)
		c.VMOVUPD(l, operand.Mem{Base: m})
		for j, u := range top {
			mem := operand.Mem{Base: m, Disp: laneBytes * (j + 1)}
			c.VMOVUPD(mem, x)
			c.VFNMADD231PD(u, l, x)
			c.VMOVUPD(x, mem)
		}
		c.DECQ(rows)
		c.JNZ(operand.LabelRef(loop))
		c.JMP(operand.LabelRef("done"))
		c.Label(next)
	}
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

func subLanes(c *build.Context) {
	r := laneArgs(c, "sub", "func(dst, x *float64, stride int, y *float64, s float64, n int)",
		"computes dst = s*(x-y) for n elements of four lanes; those of x are stride bytes apart.", "dst", "x", "stride", "y", "n")
	dst, x, stride, y, n := r[0], r[1], r[2], r[3], r[4]
	s := c.YMM()
	addr, err := c.Param("s").Resolve()
	if err != nil {
		panic(err)
	}
	c.VBROADCASTSD(addr.Addr, s)
	c.Label("loop")
	v := c.YMM()
	c.VMOVUPD(operand.Mem{Base: x}, v)
	c.VSUBPD(operand.Mem{Base: y}, v, v)
	c.VMULPD(s, v, v)
	c.VMOVUPD(v, operand.Mem{Base: dst})
	c.ADDQ(stride, x)
	c.ADDQ(operand.U8(laneBytes), y)
	c.ADDQ(operand.U8(laneBytes), dst)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}

// pivotLanes searches for the first of the largest magnitudes. A NaN in front stays, others are passed over.
func pivotLanes(c *build.Context) {
	r := laneArgs(c, "pivot", "func(x *float64, stride, n int, at *float64)",
		"stores, for each of four lanes, which of n elements, stride bytes apart, has the largest magnitude.", "x", "stride", "n", "at")
	x, stride, n, at := r[0], r[1], r[2], r[3]
	sign, one, top, best, i := c.YMM(), c.YMM(), c.YMM(), c.YMM(), c.YMM()
	c.VPCMPEQQ(sign, sign, sign)
	c.VPSLLQ(operand.U8(54), sign, one)
	c.VPSRLQ(operand.U8(2), one, one) // bits of 1.0
	c.VPSRLQ(operand.U8(1), sign, sign)
	c.VXORPD(best, best, best)
	c.VXORPD(i, i, i)
	c.VANDPD(operand.Mem{Base: x}, sign, top)
	c.JMP(operand.LabelRef("next"))
	c.Label("loop")
	v, larger := c.YMM(), c.YMM()
	c.VANDPD(operand.Mem{Base: x}, sign, v)
	c.VCMPPD(operand.U8(0x1e), top, v, larger) // v > top, false for NaN
	c.VBLENDVPD(larger, v, top, top)
	c.VBLENDVPD(larger, i, best, best)
	c.Label("next")
	c.VADDPD(one, i, i)
	c.ADDQ(stride, x)
	c.DECQ(n)
	c.JNZ(operand.LabelRef("loop"))
	c.VMOVUPD(best, operand.Mem{Base: at})
	c.VZEROUPPER()
	c.RET()
}

// transposeLanes transposes four vectors of four float32 values.
func transposeLanes(c *build.Context, r [4]reg.VecVirtual) (t [4]reg.VecVirtual) {
	var u [4]reg.VecVirtual
	for i := range u {
		u[i], t[i] = c.XMM(), c.XMM()
	}
	c.VUNPCKLPS(r[1], r[0], u[0])
	c.VUNPCKHPS(r[1], r[0], u[1])
	c.VUNPCKLPS(r[3], r[2], u[2])
	c.VUNPCKHPS(r[3], r[2], u[3])
	c.VUNPCKLPD(u[2], u[0], t[0])
	c.VUNPCKHPD(u[2], u[0], t[1])
	c.VUNPCKLPD(u[3], u[1], t[2])
	c.VUNPCKHPD(u[3], u[1], t[3])
	return t
}

// laneRows loads the pointers to the rows of four lanes.
func laneRows(c *build.Context, rows reg.GPVirtual) (p [4]reg.GPVirtual) {
	for l := range p {
		p[l] = c.GP64()
		c.MOVQ(operand.Mem{Base: rows, Disp: 8 * l}, p[l])
	}
	return p
}

func spreadLanes(c *build.Context) {
	r := laneArgs(c, "spread", "func(dst *float64, rows **float32, n int)",
		"widens n values, a multiple of 4, of each of four rows to consecutive elements of four lanes.", "dst", "rows", "n")
	dst, n, p := r[0], r[2], laneRows(c, r[1])
	c.Label("loop")
	var x [4]reg.VecVirtual
	for l := range x {
		x[l] = c.XMM()
		c.VMOVUPS(operand.Mem{Base: p[l]}, x[l])
		c.ADDQ(operand.U8(16), p[l])
	}
	for i, v := range transposeLanes(c, x) {
		wide := c.YMM()
		c.VCVTPS2PD(v, wide)
		c.VMOVUPD(wide, operand.Mem{Base: dst, Disp: laneBytes * i})
	}
	c.ADDQ(operand.I32(4*laneBytes), dst)
	c.SUBQ(operand.U8(4), n)
	c.JNZ(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}

func gatherLanes(c *build.Context) {
	r := laneArgs(c, "gather", "func(rows **float32, src *float64, n int)",
		"rounds n consecutive elements of four lanes, a multiple of 4, to values of each of four rows.", "rows", "src", "n")
	src, n, p := r[1], r[2], laneRows(c, r[0])
	c.Label("loop")
	var x [4]reg.VecVirtual
	for i := range x {
		x[i] = c.XMM()
		c.VCVTPD2PSY(operand.Mem{Base: src, Disp: laneBytes * i}, x[i])
	}
	for l, v := range transposeLanes(c, x) {
		c.VMOVUPS(v, operand.Mem{Base: p[l]})
		c.ADDQ(operand.U8(16), p[l])
	}
	c.ADDQ(operand.I32(4*laneBytes), src)
	c.SUBQ(operand.U8(4), n)
	c.JNZ(operand.LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}
