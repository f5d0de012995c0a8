package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of cpu.tile, which a test of package cpu compares with the compiler's.
const (
	tileK            = 0
	tileA            = 8
	tileB            = 16
	tileC            = 24
	tileD            = 32
	tileRSA          = 40
	tileCSA          = 48
	tileLDB          = 56
	tileLDC          = 64
	tileLDD          = 72
	tileCols         = 80
	tileAlpha        = 88
	tileBeta         = 92
	tilePrefetch     = 96
	tilePrefetchStep = 104
)

// storage is the type of the elements of B.
type storage struct {
	name  string
	bytes int
}

var (
	f32  = storage{"F32", 4}
	bf16 = storage{"BF16", 2}
	f16  = storage{"F16", 2}
)

// tileGen emits one kernel: rows x vecs*lanes elements of C.
type tileGen struct {
	*build.Context
	rows, vecs, lanes int
	b                 storage
	vec               func() reg.VecVirtual
	t                 reg.Register // *tile

	aPtr             [2]reg.GPVirtual // row 0, row 7
	rsa, rsa3, rsa5  reg.GPVirtual
	csa              reg.GPVirtual
	bPtr, ldb, k     reg.GPVirtual
	ahead, stepAhead reg.GPVirtual // what to prefetch
	bVec             []reg.VecVirtual
	bcast            reg.VecVirtual
	acc              [][][]reg.VecVirtual                // [set][row][vec]
	mask             []reg.OpmaskVirtual                 // of the columns, AVX-512
	window           operand.Mem                         // of masks, AVX2
	maskedB          func() func(mem operand.Mem, v int) // prepares loads of no more than the columns that exist
	storeC           func()
}

func (g *tileGen) field(off int) operand.Mem { return operand.Mem{Base: g.t, Disp: off} }

func (g *tileGen) loadField(off int) reg.GPVirtual {
	r := g.GP64()
	g.MOVQ(g.field(off), r)
	return r
}

// text emits the whole function.
func (g *tileGen) text(name string) {
	begin(g.Context, name, "func(t *byte)",
		fmt.Sprintf("%s computes a tile of %d rows and up to %d columns with B in %s.", name, g.rows, g.vecs*g.lanes, g.b.name))
	g.t = g.Load(g.Param("t"), g.GP64())
	g.pointers()
	if g.lanes == 16 && g.b == f32 {
		g.masks()
	}
	if g.vecs > 1 {
		g.ahead, g.stepAhead = g.loadField(tilePrefetch), g.loadField(tilePrefetchStep)
	}
	g.prefetchC()
	g.loop()
	g.storeC()
	g.VZEROUPPER()
	g.RET()
}

func (g *tileGen) pointers() {
	g.k, g.aPtr[0], g.rsa, g.csa = g.loadField(tileK), g.loadField(tileA), g.loadField(tileRSA), g.loadField(tileCSA)
	g.bPtr, g.ldb = g.loadField(tileB), g.loadField(tileLDB)
	if g.rows > 3 {
		g.rsa3 = g.GP64()
		g.LEAQ(operand.Mem{Base: g.rsa, Index: g.rsa, Scale: 2}, g.rsa3)
	}
	if g.rows > 5 {
		g.rsa5 = g.GP64()
		g.LEAQ(operand.Mem{Base: g.rsa, Index: g.rsa, Scale: 4}, g.rsa5)
	}
	if g.rows > 7 {
		g.aPtr[1] = g.GP64()
		g.LEAQ(operand.Mem{Base: g.aPtr[0], Index: g.rsa5, Scale: 1}, g.aPtr[1])
		g.LEAQ(operand.Mem{Base: g.aPtr[1], Index: g.rsa, Scale: 2}, g.aPtr[1])
	}
}

// row returns the address of the element of A in a row, of the current k.
func (g *tileGen) row(i int) operand.Mem {
	m := operand.Mem{Base: g.aPtr[i/7]}
	switch i % 7 {
	case 1:
		m.Index, m.Scale = g.rsa, 1
	case 2:
		m.Index, m.Scale = g.rsa, 2
	case 3:
		m.Index, m.Scale = g.rsa3, 1
	case 4:
		m.Index, m.Scale = g.rsa, 4
	case 5:
		m.Index, m.Scale = g.rsa5, 1
	case 6:
		m.Index, m.Scale = g.rsa3, 2
	}
	return m
}

// prefetchC asks for the tile of C when the loop is long enough for it to arrive. In a short one it must arrive in the L1 cache, where
// rows that lie a multiple of 4 KiB apart would push each other out; then it asks for the tile below, for the L2 cache.
func (g *tileGen) prefetchC() {
	g.CMPQ(g.k, operand.U8(16))
	g.JLT(operand.LabelRef("start"))
	g.CMPQ(g.k, operand.U8(32))
	g.JGE(operand.LabelRef("ask"))
	ldc := g.GP32()
	g.MOVL(g.field(tileLDC), ldc)
	g.TESTL(operand.U32(4095), ldc)
	g.JNZ(operand.LabelRef("ask"))
	at, step, height := g.loadField(tileC), g.loadField(tileLDC), g.GP64()
	g.IMUL3Q(operand.U8(g.rows), step, height)
	g.ADDQ(height, at)
	g.rowsFrom(at, step, func(_ int, c operand.Mem) { g.eachLine(c, g.PREFETCHT1) })
	g.JMP(operand.LabelRef("start"))
	g.Label("ask")
	g.eachRow(tileC, tileLDC, func(_ int, c operand.Mem) { g.eachLine(c, g.PREFETCHT0) })
	g.Label("start")
}

// eachLine emits ask for each cache line of a row of the tile.
func (g *tileGen) eachLine(row operand.Mem, ask func(operand.Op)) {
	for v := 0; v < g.vecs*g.lanes*4; v += 64 {
		ask(row.Offset(v))
	}
}

// sets is how many independent sums each element of C has, enough of them to hide the latency of an FMA.
func (g *tileGen) sets() int {
	if g.lanes == 8 {
		return min(4, 12/(g.rows*g.vecs))
	}
	return max(1, min(4, 8/(g.rows*g.vecs)))
}

func (g *tileGen) loop() {
	sets := g.sets()
	g.acc = make([][][]reg.VecVirtual, sets)
	for s := range g.acc {
		g.acc[s] = make([][]reg.VecVirtual, g.rows)
		for i := range g.acc[s] {
			for range g.vecs {
				z := g.vec()
				g.zero(z)
				g.acc[s][i] = append(g.acc[s][i], z)
			}
		}
	}
	for range g.vecs {
		g.bVec = append(g.bVec, g.vec())
	}
	g.bcast = g.vec()
	if g.b == f32 { // masked loads cost more, with AVX-512 a place in a port of the FMAs
		g.CMPQ(g.field(tileCols), operand.U8(g.vecs*g.lanes))
		g.JNE(operand.LabelRef("tail"))
		g.turns("", g.widen)
		g.JMP(operand.LabelRef("store"))
		g.Label("tail")
		g.turns("Tail", g.maskedB())
	} else if g.b == bf16 && g.lanes == 16 {
		g.turns("", g.pairsAVX512())
	} else {
		g.turns("", g.widen)
	}
	g.Label("store")
	for s := 1; s < sets; s++ {
		for i := range g.rows {
			for v := range g.vecs {
				g.VADDPS(g.acc[s][i][v], g.acc[0][i][v], g.acc[0][i][v])
			}
		}
	}
}

// turns emits the loop over k with the given way to load B.
func (g *tileGen) turns(name string, loadB func(mem operand.Mem, v int)) {
	sets := g.sets()
	unroll := max(sets, 2)
	g.SUBQ(operand.U8(unroll), g.k)
	g.JLT(operand.LabelRef("rest" + name))
	g.Label("unrolled" + name)
	for u := range unroll {
		g.step(u%sets, loadB)
	}
	g.SUBQ(operand.U8(unroll), g.k)
	g.JGE(operand.LabelRef("unrolled" + name))
	g.Label("rest" + name)
	g.ADDQ(operand.U8(unroll), g.k)
	g.JZ(operand.LabelRef("store"))
	g.Label("single" + name)
	g.step(0, loadB)
	g.DECQ(g.k)
	g.JNZ(operand.LabelRef("single" + name))
}

func (g *tileGen) zero(z reg.VecVirtual) {
	if g.lanes == 16 {
		g.VPXORD(z, z, z)
	} else {
		g.VXORPS(z, z, z)
	}
}

// step adds the products of one k to a set of sums.
func (g *tileGen) step(set int, loadB func(mem operand.Mem, v int)) {
	for v := range g.vecs {
		loadB(operand.Mem{Base: g.bPtr, Disp: v * g.lanes * g.b.bytes}, v)
	}
	g.prefetchAhead()
	for i := range g.rows {
		if g.vecs == 1 && g.lanes == 16 { // Zen 4 takes more time for the broadcast than for the one multiply-add that uses it
			g.VFMADD231PS_BCST(g.row(i), g.bVec[0], g.acc[set][i][0])
			continue
		}
		g.VBROADCASTSS(g.row(i), g.bcast)
		for v := range g.vecs {
			g.VFMADD231PS(g.bcast, g.bVec[v], g.acc[set][i][v])
		}
	}
	g.ADDQ(g.csa, g.aPtr[0])
	if g.rows > 7 {
		g.ADDQ(g.csa, g.aPtr[1])
	}
	g.ADDQ(g.ldb, g.bPtr)
}

// prefetchAhead asks for as much as a row of B has of what the caller says. Narrow tiles gained nothing from it.
func (g *tileGen) prefetchAhead() {
	if g.vecs == 1 {
		return
	}
	for line := 0; line < g.vecs*g.lanes*g.b.bytes; line += 64 {
		g.PREFETCHT0(operand.Mem{Base: g.ahead, Disp: line})
	}
	g.ADDQ(g.stepAhead, g.ahead)
}

// widen loads lanes elements of B in their storage type.
func (g *tileGen) widen(mem operand.Mem, v int) {
	switch g.b {
	case bf16:
		g.VPMOVZXWD(mem, g.bVec[v])
		g.VPSLLD(operand.U8(16), g.bVec[v], g.bVec[v])
	case f16:
		g.VCVTPH2PS(mem, g.bVec[v])
	default:
		g.VMOVUPS(mem, g.bVec[v])
	}
}

// scaled multiplies the sums by alpha.
func (g *tileGen) scaled() {
	g.VBROADCASTSS(g.field(tileAlpha), g.bcast)
	for i := range g.rows {
		for v := range g.vecs {
			g.VMULPS(g.bcast, g.acc[0][i][v], g.acc[0][i][v])
		}
	}
}

// addD emits what adds beta times the rows of D, and jumps to label instead if beta is 0 or -0.
func (g *tileGen) addD(label string, add func(i int, d operand.Mem)) {
	beta := g.GP32()
	g.MOVL(g.field(tileBeta), beta)
	g.ADDL(beta, beta)
	g.JZ(operand.LabelRef(label))
	g.VBROADCASTSS(g.field(tileBeta), g.bcast)
	g.eachRow(tileD, tileLDD, add)
	g.Label(label)
}

// eachRow calls f with the address of each row of the tile of a matrix, whose address and stride are in the given fields.
func (g *tileGen) eachRow(matrix, stride int, f func(i int, row operand.Mem)) {
	g.rowsFrom(g.loadField(matrix), g.loadField(stride), f)
}

// rowsFrom calls f with the address of each of the rows of a tile that begin at the given address, which it moves.
func (g *tileGen) rowsFrom(at, step reg.GPVirtual, f func(i int, row operand.Mem)) {
	for i := range g.rows {
		f(i, operand.Mem{Base: at})
		if i+1 < g.rows {
			g.ADDQ(step, at)
		}
	}
}
