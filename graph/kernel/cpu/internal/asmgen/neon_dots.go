package main

import "fmt"

// neonDots writes the kernels for few rows of A and a B stored by columns: each element of C is an inner product of two contiguous
// vectors. The fields of the tile have their meaning, with rsa the stride between rows of A and ldb that between columns of B.
func neonDots(f *neonFile) {
	for rows := 1; rows <= 2; rows++ {
		for _, cols := range []int{1, 4} {
			(&neonDot{f, rows, cols}).text()
		}
	}
}

type neonDot struct {
	*neonFile
	rows, cols int
}

const (
	dotRow = 2  // 2 rows of A
	dotCol = 4  // 4 columns of B
	dotA   = 0  // 2 vectors of each row
	dotB   = 4  // 2 vectors of a column
	dotAcc = 16 // 2 sums for each element of C
)

func (g *neonDot) acc(i, j int) int { return dotAcc + 2*(i*g.cols+j) }

func (g *neonDot) field(offset, r int) { g.emit("MOVD %d(R0), R%d", offset, r) }

func (g *neonDot) text() {
	name := fmt.Sprintf("dots%dx%d", g.rows, g.cols)
	t := g.function(name, "t *byte", false, fmt.Sprintf("computes %d rows and %d columns of C as inner products.", g.rows, g.cols))
	g.load(t, 0, "t")
	g.field(tileK, 1)
	g.field(tileA, dotRow)
	g.field(tileRSA, 8)
	g.field(tileB, dotCol)
	g.field(tileLDB, 9)
	g.field(tileC, 10)
	g.field(tileLDC, 11)
	for i := 1; i < g.rows; i++ {
		g.emit("ADD R8, R%d, R%d", dotRow+i-1, dotRow+i)
	}
	for j := 1; j < g.cols; j++ {
		g.emit("ADD R9, R%d, R%d", dotCol+j-1, dotCol+j)
	}
	g.zero(span(dotAcc, 2*g.rows*g.cols)...)
	g.emit("SUBS $8, R1, R1")
	g.emit("BLT rest")
	g.label("full")
	g.step("VLD1.P 32(R%[1]d), [V%[2]d.S4, V%[3]d.S4]", 2)
	g.emit("SUBS $8, R1, R1")
	g.emit("BGE full")
	g.label("rest")
	g.emit("ADDS $8, R1, R1")
	g.emit("BEQ store")
	g.label("single")
	g.step("FMOVS.P 4(R%[1]d), F%[2]d", 1) // which clears the other lanes
	g.emit("SUBS $1, R1, R1")
	g.emit("BNE single")
	g.label("store")
	g.store()
	g.emit("RET")
}

// step adds the products of the elements that the load brings into vecs registers.
func (g *neonDot) step(load string, vecs int) {
	for i := range g.rows {
		g.emit(load, dotRow+i, dotA+2*i, dotA+2*i+1)
	}
	for j := range g.cols {
		b := dotB + 2*j
		g.emit(load, dotCol+j, b, b+1)
		for i := range g.rows {
			for v := range vecs {
				g.fmla(dotA+2*i+v, b+v, g.acc(i, j)+v)
			}
		}
	}
}

// store adds up the lanes and writes alpha*sum + beta*c.
func (g *neonDot) store() {
	const alpha, beta, old = 0, 1, 2
	g.emit("FMOVS %d(R0), F%d", tileAlpha, alpha)
	g.emit("FMOVS %d(R0), F%d", tileBeta, beta)
	g.emit("MOVWU %d(R0), R8", tileBeta)
	g.emit("LSLW $1, R8, R8")
	move := "FMOVQ"
	if g.cols == 1 {
		move = "FMOVS"
	}
	for i := range g.rows {
		s := make([]int, 4)
		for j := range s {
			s[j] = g.acc(i, j%g.cols)
		}
		for _, a := range s[:g.cols] {
			g.op3("FADD", a+1, a, a)
		}
		sum := s[0]
		g.op3("FADDP", s[1], s[0], s[0])
		if g.cols > 1 {
			g.op3("FADDP", s[3], s[2], s[2])
		}
		g.op3("FADDP", s[2], sum, sum)
		g.lane("FMUL", alpha, 0, sum, sum)
		g.emit("CBZW R8, write%d", i)
		g.emit("%s (R10), F%d", move, old)
		g.lane("FMLA", beta, 0, old, sum)
		g.label(fmt.Sprintf("write%d", i))
		g.emit("%s F%d, (R10)", move, sum)
		if i+1 < g.rows {
			g.emit("ADD R11, R10, R10")
		}
	}
}
