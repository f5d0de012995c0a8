package main

import "fmt"

// neonPackers writes the kernels that bring operands into panels.
func neonPackers(f *neonFile) {
	f.copyPanels()
	f.packLines()
}

// copyPanels copies rows of a matrix into panels that lie side by side in it: cols elements of each row go to each panel.
func (f *neonFile) copyPanels() {
	args := f.function("copyPanelsNEON", "dst *float32, dstRow int, dstPanel int, src *float32, srcRow int, srcPanel int, rows int, panels int, cols int", false,
		"copies, of each of rows rows, cols elements (at most 16) into each of panels panels. Strides in bytes.")
	const dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols, d, s, n, to, from = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
	f.load(args, dst, "dst", "dstRow", "dstPanel", "src", "srcRow", "srcPanel", "rows", "panels", "cols")
	f.label("row")
	f.emit("MOVD R%d, R%d", dst, d)
	f.emit("MOVD R%d, R%d", src, s)
	f.emit("MOVD R%d, R%d", panels, n)
	f.label("panel")
	f.emit("TBZ $4, R%d, partial", cols)
	f.emit("VLD1 (R%d), %s", s, list(0, 4, "S4"))
	f.emit("VST1 %s, (R%d)", list(0, 4, "S4"), d)
	f.label("next")
	f.emit("ADD R%d, R%d, R%d", dstPanel, d, d)
	f.emit("ADD R%d, R%d, R%d", srcPanel, s, s)
	f.emit("SUBS $1, R%d, R%d", n, n)
	f.emit("BNE panel")
	f.emit("ADD R%d, R%d, R%d", dstRow, dst, dst)
	f.emit("ADD R%d, R%d, R%d", srcRow, src, src)
	f.emit("SUBS $1, R%d, R%d", rows, rows)
	f.emit("BNE row")
	f.emit("RET")
	f.label("partial") // by the binary digits of cols
	f.emit("MOVD R%d, R%d", d, to)
	f.emit("MOVD R%d, R%d", s, from)
	for _, part := range []struct {
		bit, bytes int
		registers  string
	}{{3, 32, "[V0.S4, V1.S4]"}, {2, 16, "[V0.S4]"}, {1, 8, "[V0.S2]"}} {
		skip := fmt.Sprintf("below%d", 1<<part.bit)
		f.emit("TBZ $%d, R%d, %s", part.bit, cols, skip)
		f.emit("VLD1.P %d(R%d), %s", part.bytes, from, part.registers)
		f.emit("VST1.P %s, %d(R%d)", part.registers, part.bytes, to)
		f.label(skip)
	}
	f.emit("TBZ $0, R%d, next", cols)
	f.emit("FMOVS (R%d), F0", from)
	f.emit("FMOVS F0, (R%d)", to)
	f.emit("B next")
}

// packLines transposes blocks of 8 lines of 4 elements, then single elements.
func (f *neonFile) packLines() {
	args := f.function("packLinesNEON", "dst *float32, dstRow int, lines **float32, k int", false,
		"stores element p of line i at dst + p*dstRow + 4*i for 8 lines of k elements.")
	const dst, dstRow, lines, k, line = 0, 1, 2, 3, 4 // and the seven registers after line
	f.load(args, dst, "dst", "dstRow", "lines", "k")
	for i := range 8 {
		f.emit("MOVD %d(R%d), R%d", 8*i, lines, line+i)
	}
	f.emit("SUBS $4, R%d, R%d", k, k)
	f.emit("BLT rest")
	f.label("full")
	for i := range 8 {
		f.emit("VLD1.P 16(R%d), [V%d.S4]", line+i, i)
	}
	const out = 16 // two registers for each row of the result
	for half := range 2 {
		x := span(4*half, 4)
		pair := span(8+4*half, 4) // of lines 0, 1: even columns, odd columns; of lines 2, 3 the same
		for i := range 2 {
			f.emit("VTRN1 V%d.S4, V%d.S4, V%d.S4", x[2*i+1], x[2*i], pair[2*i])
			f.emit("VTRN2 V%d.S4, V%d.S4, V%d.S4", x[2*i+1], x[2*i], pair[2*i+1])
		}
		for p := range 4 {
			f.emit("VTRN%d V%d.D2, V%d.D2, V%d.D2", 1+p/2, pair[2+p%2], pair[p%2], out+2*p+half)
		}
	}
	for p := range 4 {
		f.emit("VST1.P %s, (R%d)(R%d)", list(out+2*p, 2, "S4"), dst, dstRow)
	}
	f.emit("SUBS $4, R%d, R%d", k, k)
	f.emit("BGE full")
	f.label("rest")
	f.emit("ADDS $4, R%d, R%d", k, k)
	f.emit("BEQ done")
	f.label("single")
	for i := range 8 {
		f.emit("VLD1.P 4(R%d), V%d.S[%d]", line+i, i/4, i%4)
	}
	f.emit("VST1.P %s, (R%d)(R%d)", list(0, 2, "S4"), dst, dstRow)
	f.emit("SUBS $1, R%d, R%d", k, k)
	f.emit("BNE single")
	f.label("done")
	f.emit("RET")
}
