package main

import "fmt"

// quartet is the four V registers, of four neighbouring elements each, that every formula works on side by side, because each operation on
// one of them waits for the one before.
type quartet [4]int

// neonCurve emits the functions. It keeps account of the V registers in use.
type neonCurve struct {
	*neonFile
	at   map[string]int // of each constant in the table
	used [32]bool
}

// newNeonCurve writes a file's table of constants.
func newNeonCurve(f *neonFile, list []constant) *neonCurve {
	g := &neonCurve{neonFile: f, at: map[string]int{}}
	f.asm.WriteString("\n")
	for i, c := range list {
		g.at[c.name] = 16 * i
		for lane := range 4 {
			fmt.Fprintf(&f.asm, "DATA curveConstants<>+%d(SB)/4, $%#08x\n", 16*i+4*lane, c.bits)
		}
	}
	fmt.Fprintf(&f.asm, "GLOBL curveConstants<>(SB), RODATA|NOPTR, $%d\n", 16*len(g.at))
	return g
}

const curveTable = 9 // R register that points to the constants

func (g *neonCurve) vec() int {
	for v := range g.used {
		if !g.used[v] {
			g.used[v] = true
			return v
		}
	}
	panic("out of vector registers")
}

func (g *neonCurve) vecs() (q quartet) {
	for i := range q {
		q[i] = g.vec()
	}
	return q
}

func (g *neonCurve) release(lists ...quartet) {
	for _, q := range lists {
		for _, v := range q {
			g.used[v] = false
		}
	}
}

// k returns a constant in a new register.
func (g *neonCurve) k(name string) int {
	off, ok := g.at[name]
	if !ok {
		panic("no constant " + name)
	}
	v := g.vec()
	g.emit("FMOVQ %d(R%d), F%d", off, curveTable, v)
	return v
}

// fill returns a constant in new registers.
func (g *neonCurve) fill(name string) (q quartet) {
	for i := range q {
		q[i] = g.k(name)
	}
	return q
}

// op applies d = n op m to all registers.
func (g *neonCurve) op(name string, m, n, d quartet) {
	for i := range d {
		g.op3(name, m[i], n[i], d[i])
	}
}

// single applies d = op n.
func (g *neonCurve) single(name string, n, d quartet) {
	for i := range d {
		g.op2(name, n[i], d[i])
	}
}

// plain applies an instruction that Go's assembler knows, with registers in the given arrangement.
func (g *neonCurve) plain(instruction, arrangement string, m, n, d quartet) {
	for i := range d {
		g.emit("%[1]s V%[3]d.%[2]s, V%[4]d.%[2]s, V%[5]d.%[2]s", instruction, arrangement, m[i], n[i], d[i])
	}
}

// add and subtract compute d += n*m and d -= n*m.
func (g *neonCurve) add(m, n, d quartet)      { g.plain("VFMLA", "S4", m, n, d) }
func (g *neonCurve) subtract(m, n, d quartet) { g.plain("VFMLS", "S4", m, n, d) }

// same calls f with the named constant in all places.
func (g *neonCurve) same(name string, f func(c quartet)) {
	c := g.k(name)
	f(quartet{c, c, c, c})
	g.used[c] = false
}

// with applies d = d op constant.
func (g *neonCurve) with(name, constant string, d quartet) {
	g.same(constant, func(c quartet) { g.op(name, c, d, d) })
}

// bits applies an operation on bits of n and a constant.
func (g *neonCurve) bits(name, constant string, n, d quartet) {
	g.same(constant, func(c quartet) { g.plain(name, "B16", c, n, d) })
}

func (g *neonCurve) copy(n quartet) (d quartet) {
	for i := range d {
		d[i] = g.vec()
		g.emit("VMOV V%d.B16, V%d.B16", n[i], d[i])
	}
	return d
}

func (g *neonCurve) shiftLeft(by int, v quartet) {
	for _, v := range v {
		g.emit("VSHL $%d, V%d.S4, V%d.S4", by, v, v)
	}
}

// horner returns the polynomial in x with the named coefficients, highest first.
func (g *neonCurve) horner(x quartet, names ...string) quartet {
	p := g.fill(names[0])
	for _, n := range names[1:] {
		g.same(n, func(c quartet) {
			for i := range p {
				q := g.vec()
				g.emit("VMOV V%d.B16, V%d.B16", c[i], q)
				g.fmla(x[i], p[i], q)
				g.used[p[i]] = false
				p[i] = q
			}
		})
	}
	return p
}

// fetch loads 16 elements.
func (g *neonCurve) fetch(pointer int) (q quartet) {
	q = g.vecs()
	for i := 0; i < len(q); i += 2 {
		g.emit("FLDPQ %d(R%d), (F%d, F%d)", 16*i, pointer, q[i], q[i+1])
	}
	return q
}

// store writes 16 elements.
func (g *neonCurve) store(q quartet, pointer int) {
	for i := 0; i < len(q); i += 2 {
		g.emit("FSTPQ (F%d, F%d), %d(R%d)", q[i], q[i+1], 16*i, pointer)
	}
}

// advance moves pointers on by 16 elements.
func (g *neonCurve) advance(pointers ...int) {
	for _, p := range pointers {
		g.emit("ADD $64, R%d, R%d", p, p)
	}
}

// series returns e^r for |r| <= ln(2)/2.
func (g *neonCurve) series(r quartet) quartet {
	return g.horner(r, "s6", "s5", "s4", "s3", "s2", "one", "one")
}
