package cpu

import "unsafe"

//go:noescape
func tileAVX512(t *tile, i int)

//go:noescape
func tileAVX2(t *tile, i int)

// run computes a tile with the given number of rows.
func (ks *kernels) run(f family, t *tile, rows int) {
	switch ks.level {
	case avx512:
		tileAVX512(t, int(f)*15+rows)
	case avx2:
		tileAVX2(t, int(f)*7+rows)
	default:
		tileGeneric(t, rows)
	}
}

// copyPanels copies cols elements, at most width, of each row into each panel; strides in bytes. The generic level has no such kernel.
func (ks *kernels) copyPanels(width int, dst *float32, dstRow, dstPanel int, src *float32, srcRow, srcPanel, rows, panels, cols int) {
	switch {
	case ks.level == avx512 && width == 32:
		copyPanels32AVX512(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	case ks.level == avx512:
		copyPanels16AVX512(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	case width == 16:
		copyPanels16AVX2(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	default:
		copyPanels8AVX2(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	}
}

// packLines stores element p of line i at dst[p*dstRow/4+i]; it uses the first ks.lines lines. The generic level has no such kernel.
func (ks *kernels) packLines(dst *float32, dstRow int, lines *[16]*float32, k int) {
	if ks.level == avx512 {
		packLinesAVX512(dst, dstRow, &lines[0], k)
		return
	}
	packLinesAVX2(dst, dstRow, &lines[0], k)
}

func expSub(l level, x *float32, shift float32, n int) float32 {
	if l == avx512 {
		return expSubAVX512(x, shift, n)
	}
	return expSubAVX2(x, shift, n)
}

// packPatches fills rows of a panel with pixels.
func (ks *kernels) packPatches(dst, channel *float32, size int, runs *patchRun, each, taps, tap, rows int) {
	if ks.nr == 16 {
		packPatches16AVX2(dst, channel, size, &runs.from, each, taps, tap, rows)
		return
	}
	packPatches32AVX2(dst, channel, size, &runs.from, each, taps, tap, rows)
}

// runDots computes 1 to 3 rows and 1 or 4 columns, where the columns of b are contiguous and ldb is the stride between them.
func runDots(t *tile, rows, cols int) {
	p := (*byte)(unsafe.Pointer(t))
	switch {
	case rows == 3 && cols == 4:
		dots3x4(p)
	case rows == 2 && cols == 4:
		dots2x4(p)
	case cols == 4:
		dots1x4(p)
	case rows == 3:
		dots3x1(p)
	case rows == 2:
		dots2x1(p)
	default:
		dots1x1(p)
	}
}

// runRows adds multiples of t.k rows of b, 1 or 4, to 1 or 2 rows of c with any number of columns.
func runRows(t *tile, rows int) {
	p := (*byte)(unsafe.Pointer(t))
	switch {
	case rows == 2 && t.k == 4:
		rows2x4(p)
	case rows == 2:
		rows2x1(p)
	case t.k == 4:
		rows1x4(p)
	default:
		rows1x1(p)
	}
}

//go:noescape
func activationAVX512(c *activationCall, i int)

//go:noescape
func activationAVX2(c *activationCall, i int)

// call computes one form of the activation.
func (f Activation) call(l level, form activationForm, c *activationCall) {
	if l == avx512 {
		activationAVX512(c, f.number(form))
		return
	}
	activationAVX2(c, f.number(form))
}
