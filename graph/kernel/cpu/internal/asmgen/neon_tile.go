package main

import "fmt"

// rowsNEON is the height of the largest tile: 6*4 sums, 4 vectors of B and 2 of A or of unwidened B fill 30 registers.
const rowsNEON = 6

// neonTile emits one kernel: rows x 4*vecs elements of C, all of which exist.
type neonTile struct {
	*neonFile
	rows, vecs int
	b          storage
}

// Registers of the kernels.
const (
	tileArg   = 0 // *tile
	tileCount = 1 // of k
	tileRow0  = 2 // of A; further rows follow
	tileStep  = 8 // between columns of A
	tileAtB   = 9
	tileRowB  = 10 // stride of B
	tileAhead = 11 // stride of B, 8 rows
	tileAtC   = 12
	tileRowC  = 13 // stride of C
	tileSpare = 14
	tileAtA   = 15 // offset of the column of A
	tileAtD   = tileAtB
	tileRowD  = tileRowB // stride of D

	vecB   = 0 // 4 vectors of B
	vecA   = 4 // 4 vectors of A, or 2 and
	vecRaw = 6 // 2 vectors of B before widening
	vecAcc = 8 // sums
)

func neonTiles(f *neonFile) {
	families := []struct {
		vecs int
		b    storage
	}{{4, f32}, {2, f32}, {4, bf16}, {4, f16}} // in the order of cpu.family
	var names []string
	for _, fam := range families {
		names = append(names, "") // no rows
		for rows := 1; rows <= rowsNEON; rows++ {
			names = append(names, tileName("NEON", rows, 4*fam.vecs, fam.b))
			(&neonTile{f, rows, fam.vecs, fam.b}).text(names[len(names)-1])
		}
	}
	f.table("tileNEON", "t *tile", names)
}

func (g *neonTile) text(name string) {
	t := g.function(name, "t *byte", false, fmt.Sprintf("computes a tile of %d rows and %d columns with B in %s.", g.rows, 4*g.vecs, g.b.name))
	g.load(t, tileArg, "t")
	g.field(tileK, tileCount)
	g.field(tileA, tileRow0)
	g.field(tileCSA, tileStep)
	g.field(tileB, tileAtB)
	g.field(tileLDB, tileRowB)
	g.field(tileC, tileAtC)
	g.field(tileLDC, tileRowC)
	g.emit("LSL $3, R%d, R%d", tileRowB, tileAhead)
	g.zero(span(vecAcc, g.sets()*g.rows*g.vecs)...)
	if g.rows > 3 {
		g.field(tileRSA, tileSpare)
		g.emit("CMP $4, R%d", tileSpare)
		g.emit("BEQ stacked")
	}
	g.pointers()
	g.loop("strided", g.stridedA)
	if g.rows > 3 {
		g.emit("B sum")
		g.label("stacked")
		g.loop("contiguous", g.contiguousA)
	}
	g.label("sum")
	g.store()
	g.emit("RET")
}

func (g *neonTile) field(offset, r int) { g.emit("MOVD %d(R%d), R%d", offset, tileArg, r) }

func (g *neonTile) pointers() {
	g.emit("MOVD $0, R%d", tileAtA)
	if g.rows > 1 {
		g.field(tileRSA, tileSpare)
	}
	for i := 1; i < g.rows; i++ {
		g.emit("ADD R%d, R%d, R%d", tileSpare, tileRow0+i-1, tileRow0+i)
	}
}

// sets is how many independent sums each element of C has, to hide the latency of a multiplication.
func (g *neonTile) sets() int {
	sets := 1
	for 2*sets*g.rows*g.vecs <= 24 && sets < 4 {
		sets *= 2
	}
	return sets
}

func (g *neonTile) acc(set, row, v int) int { return vecAcc + (set*g.rows+row)*g.vecs + v }

// loop emits the loop over k with the given way to multiply by a column of A.
func (g *neonTile) loop(name string, column func(set int)) {
	unroll := max(g.sets(), 2)
	step := func(set int) {
		g.loadB()
		column(set)
	}
	g.emit("SUBS $%d, R%d, R%d", unroll, tileCount, tileCount)
	g.emit("BLT %sRest", name)
	g.label(name)
	for u := range unroll {
		step(u % g.sets())
	}
	g.emit("SUBS $%d, R%d, R%d", unroll, tileCount, tileCount)
	g.emit("BGE %s", name)
	g.label(name + "Rest")
	g.emit("ADDS $%d, R%d, R%d", unroll, tileCount, tileCount)
	g.emit("BEQ sum")
	g.label(name + "Single")
	step(0)
	g.emit("SUBS $1, R%d, R%d", tileCount, tileCount)
	g.emit("BNE %sSingle", name)
}

// loadB reads a row of B and asks for one further down, which a large stride hides from the hardware.
func (g *neonTile) loadB() {
	g.emit("ADD R%d, R%d, R%d", tileAhead, tileAtB, tileSpare)
	g.emit("PRFM (R%d), PLDL1KEEP", tileSpare)
	into, count := vecB, g.vecs
	if g.b != f32 {
		into, count = vecRaw, g.vecs/2
	}
	for i := 0; i < count; i += 2 {
		g.emit("FLDPQ %d(R%d), (F%d, F%d)", 16*i, tileAtB, into+i, into+i+1)
	}
	g.emit("ADD R%d, R%d, R%d", tileRowB, tileAtB, tileAtB)
	if g.b != f32 {
		g.widen(g.b, vecRaw, count, vecB)
	}
}

// stridedA takes each element of A from its own row, some rows ahead of its use. (A load into all lanes would cost a turn of the
// multipliers on some processors.)
func (g *neonTile) stridedA(set int) {
	ahead := 4
	if g.b != f32 {
		ahead = 2
	}
	load := func(i int) {
		if i < g.rows {
			g.emit("FMOVS (R%d)(R%d), F%d", tileRow0+i, tileAtA, vecA+i%ahead)
		}
	}
	for i := range ahead {
		load(i)
	}
	for i := range g.rows {
		for v := range g.vecs {
			g.lane("FMLA", vecA+i%ahead, 0, vecB+v, g.acc(set, i, v))
		}
		load(i + ahead)
	}
	g.emit("ADD R%d, R%d, R%d", tileStep, tileAtA, tileAtA)
}

// contiguousA takes a column of A, which lies in consecutive words, at once.
func (g *neonTile) contiguousA(set int) {
	g.emit("FMOVQ (R%d), F%d", tileRow0, vecA)
	switch g.rows {
	case 5:
		g.emit("FMOVS 16(R%d), F%d", tileRow0, vecA+1)
	case 6:
		g.emit("FMOVD 16(R%d), F%d", tileRow0, vecA+1)
	}
	g.emit("ADD R%d, R%d, R%d", tileStep, tileRow0, tileRow0)
	for i := range g.rows {
		for v := range g.vecs {
			g.lane("FMLA", vecA+i/4, i%4, vecB+v, g.acc(set, i, v))
		}
	}
}

// store adds up the sets and writes alpha*sum + beta*d.
func (g *neonTile) store() {
	for s := 1; s < g.sets(); s++ {
		for i := range g.rows {
			for v := range g.vecs {
				g.op3("FADD", g.acc(s, i, v), g.acc(0, i, v), g.acc(0, i, v))
			}
		}
	}
	const alpha, beta = vecA, vecA + 1
	g.emit("FMOVS %d(R%d), F%d", tileAlpha, tileArg, alpha)
	for _, a := range span(vecAcc, g.rows*g.vecs) {
		g.lane("FMUL", alpha, 0, a, a)
	}
	g.emit("MOVWU %d(R%d), R%d", tileBeta, tileArg, tileSpare)
	g.emit("LSLW $1, R%d, R%d", tileSpare, tileSpare) // 0 for -0 too
	g.emit("CBNZW R%d, add", tileSpare)
	for i := range g.rows {
		g.emit("VST1.P %s, (R%d)(R%d)", list(g.acc(0, i, 0), g.vecs, "S4"), tileAtC, tileRowC)
	}
	g.emit("RET")
	g.label("add")
	g.emit("FMOVS %d(R%d), F%d", tileBeta, tileArg, beta)
	g.field(tileD, tileAtD)
	g.field(tileLDD, tileRowD)
	for i := range g.rows {
		g.emit("VLD1.P (R%d)(R%d), %s", tileAtD, tileRowD, list(vecB, g.vecs, "S4"))
		for v := range g.vecs {
			g.lane("FMLA", beta, 0, vecB+v, g.acc(0, i, v))
		}
		g.emit("VST1.P %s, (R%d)(R%d)", list(g.acc(0, i, 0), g.vecs, "S4"), tileAtC, tileRowC)
	}
}

// table writes a function of a pointer and a number i, which jumps to the i-th function.
func (f *neonFile) table(name, pointer string, functions []string) {
	fmt.Fprintf(&f.asm, "\n// func %s(%s, i int)\nTEXT ·%s(SB), NOSPLIT, $0-16\n", name, pointer, name)
	f.emit("MOVD i+8(FP), R0")
	f.emit("MOVD $%sTable<>(SB), R1", name)
	f.emit("MOVD (R1)(R0<<3), R1")
	f.emit("B (R1)")
	f.asm.WriteString("\n")
	for i, fn := range functions {
		if fn != "" {
			fmt.Fprintf(&f.asm, "DATA %sTable<>+%d(SB)/8, $·%s(SB)\n", name, 8*i, fn)
		}
	}
	fmt.Fprintf(&f.asm, "GLOBL %sTable<>(SB), RODATA, $%d\n", name, 8*len(functions))
	fmt.Fprintf(&f.stubs, "\n// %s jumps to the i-th kernel.\n//\n//go:noescape\nfunc %s(%s, i int)\n", name, name, pointer)
}
