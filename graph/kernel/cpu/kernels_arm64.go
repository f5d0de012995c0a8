package cpu

import "unsafe"

// run computes a tile with the given number of rows.
func (ks *kernels) run(f family, t *tile, rows int) {
	if ks.level == generic {
		tileGeneric(t, rows)
		return
	}
	tileNEON(t, int(f)*7+rows)
}

// copyPanels copies cols elements, at most 16, of each row into each panel; strides in bytes. The generic level has no such kernel.
func (ks *kernels) copyPanels(_ int, dst *float32, dstRow, dstPanel int, src *float32, srcRow, srcPanel, rows, panels, cols int) {
	copyPanelsNEON(dst, dstRow, dstPanel, src, srcRow, srcPanel, rows, panels, cols)
}

// packLines stores element p of line i at dst[p*dstRow/4+i] for 8 lines. The generic level has no such kernel.
func (ks *kernels) packLines(dst *float32, dstRow int, lines *[16]*float32, k int) {
	packLinesNEON(dst, dstRow, &lines[0], k)
}

func expSub(_ level, x *float32, shift float32, n int) float32 { return expSubNEON(x, shift, n) }

// No set of kernels of this platform asks for the two below.

func (ks *kernels) packPatches(_, _ *float32, _ int, _ *patchRun, _, _, _, _ int) {}

func runRows(*tile, int) {}

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

// call computes one form of the activation.
func (f Activation) call(_ level, form activationForm, c *activationCall) {
	activationNEON(c, f.number(form))
}
