package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// constants is a table in which each value is repeated to the 8 lanes of AVX2.
type constants struct {
	table   operand.Mem
	offsets map[string]int
}

// add appends a value given by its bits.
func (k *constants) add(c *build.Context, name string, bits uint32) {
	off := 32 * len(k.offsets)
	k.offsets[name] = off
	for i := range 8 {
		c.AddDatum(off+4*i, operand.U32(bits))
	}
}

// constant is a float32 or a pattern of bits by name.
type constant struct {
	name string
	bits uint32
}

// real is the constant of a value rounded to float32.
func real(name string, value float64) constant {
	return constant{name, math.Float32bits(float32(value))}
}

// expConstants returns what every function made of exp needs. The coefficients s2 to s6 are those of the polynomial 1 + r + s2 r² + ...
// that has the smallest relative error, 3e-9, from e^r over |r| <= ln(2)/2.
func expConstants() []constant {
	return []constant{
		real("one", 1), real("log2e", math.Log2E),
		real("s2", 0.4999999343), real("s3", 0.166665204), real("s4", 0.04166839079), real("s5", 0.00836874516), real("s6", 0.001381454014),
		{"sign", 1 << 31},
	}
}

func newConstants(c *build.Context, list []constant) *constants {
	k := &constants{c.StaticGlobal("curveConstants"), map[string]int{}}
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, v := range list {
		k.add(c, v.name, v.bits)
	}
	return k
}

// curveGen emits the functions of one level. Every formula works on several registers side by side: each operation on one of them waits
// for the one before, and a processor that looks ahead a hundred waiting operations finds the other chains only if they are interleaved.
type curveGen struct {
	*build.Context
	*constants
	lanes int // of a register
	width int // registers side by side
}

// vecs are as many registers as are worked on side by side; ops are other operands that belong to them, places or masks.
type (
	vecs []reg.VecVirtual
	ops  []operand.Op
)

func (g *curveGen) vec() reg.VecVirtual { return vecOf(g.Context, g.lanes)() }

func (g *curveGen) vecs() vecs {
	v := make(vecs, g.width)
	for i := range v {
		v[i] = g.vec()
	}
	return v
}

// masks returns what holds the results of comparisons.
func (g *curveGen) masks() ops {
	m := make(ops, g.width)
	for i := range m {
		if g.lanes == 16 {
			m[i] = g.K()
		} else {
			m[i] = g.vec()
		}
	}
	return m
}

// at returns the places of the elements from an address on.
func (g *curveGen) at(m operand.Mem) ops {
	places := make(ops, g.width)
	for i := range places {
		places[i] = m.Offset(4 * g.lanes * i)
	}
	return places
}

// each emits an instruction for each register of its operands. A string is a constant, any other single operand the same for all.
func (g *curveGen) each(instruction func(...operand.Op), operands ...any) {
	for i, o := range operands {
		if name, ok := o.(string); ok {
			operands[i] = g.k(name)
		}
	}
	for i := range g.width {
		var list []operand.Op
		for _, o := range operands {
			switch o := o.(type) {
			case vecs:
				list = append(list, o[i])
			case ops:
				list = append(list, o[i])
			case operand.Op:
				list = append(list, o)
			}
		}
		instruction(list...)
	}
}

// of3 and of4 adapt instructions that have one number of operands to each.
func of3(f func(a, b, c operand.Op)) func(...operand.Op) {
	return func(o ...operand.Op) { f(o[0], o[1], o[2]) }
}

func of4(f func(a, b, c, d operand.Op)) func(...operand.Op) {
	return func(o ...operand.Op) { f(o[0], o[1], o[2], o[3]) }
}

// place returns where a constant is.
func (g *curveGen) place(name string) operand.Mem {
	off, ok := g.offsets[name]
	if !ok {
		panic("no constant " + name)
	}
	return g.table.Offset(off)
}

// k returns a constant as an operand, for 16 lanes in a register: the linker aligns tables to 32 bytes, so that loads of 64 would cross
// cache lines.
func (g *curveGen) k(name string) operand.Op {
	if g.lanes == 16 {
		return g.register(name)
	}
	return g.place(name)
}

// register returns a constant in a register.
func (g *curveGen) register(name string) reg.VecVirtual {
	z := g.vec()
	g.VBROADCASTSS(g.place(name), z)
	return z
}

// load returns a constant in registers that may be overwritten.
func (g *curveGen) load(name string) vecs {
	z := g.vecs()
	g.each(g.VBROADCASTSS, g.place(name), z)
	return z
}

// horner returns the polynomial in x with the named coefficients, highest first.
func (g *curveGen) horner(x vecs, names ...string) vecs {
	p := g.load(names[0])
	for _, n := range names[1:] {
		g.each(g.VFMADD213PS, n, x, p)
	}
	return p
}

// series returns e^r for |r| <= ln(2)/2.
func (g *curveGen) series(r vecs) vecs {
	return g.horner(r, "s6", "s5", "s4", "s3", "s2", "one", "one")
}
