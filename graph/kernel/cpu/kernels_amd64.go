package cpu

import "unsafe"

//go:generate go run -C internal/asmgen . -dir ../..

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

// hasDots reports whether the level has kernels for inner products of contiguous vectors.
func (ks *kernels) hasDots() bool { return ks.level != generic }

// runDots computes 1 or 2 rows and 1 or 4 columns, where the columns of b are contiguous and ldb is the stride between them.
func runDots(t *tile, rows, cols int) {
	p := (*byte)(unsafe.Pointer(t))
	switch {
	case rows == 2 && cols == 4:
		dots2x4(p)
	case rows == 2:
		dots2x1(p)
	case cols == 4:
		dots1x4(p)
	default:
		dots1x1(p)
	}
}

// copyPanels copies cols elements, at most width, of each row into each panel; strides in bytes. It reports false where the level has
// no kernel for it.
func (ks *kernels) copyPanels(width int, dst *float32, dstRow, dstPanel int, src *float32, srcRow, srcPanel, rows, panels, cols int) bool {
	switch {
	case ks.level == generic:
		return false
	case ks.level == avx512 && width == 32:
		copyPanels32AVX512(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	case ks.level == avx512:
		copyPanels16AVX512(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	case width == 16:
		copyPanels16AVX2(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	default:
		copyPanels8AVX2(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
	}
	return true
}

// packLines stores element p of line i at dst[p*dstRow/4+i]; it uses the first ks.lines lines. It reports false where the level has no
// kernel for it.
func (ks *kernels) packLines(dst *float32, dstRow int, lines *[16]*float32, k int) bool {
	switch ks.level {
	case generic:
		return false
	case avx512:
		packLinesAVX512(dst, dstRow, &lines[0], k)
	default:
		packLinesAVX2(dst, dstRow, &lines[0], k)
	}
	return true
}
