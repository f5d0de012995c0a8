package cpu

import "fmt"

// Patches describes the matrix of an image's patches, as a convolution multiplies it, without holding it: row (c, i, j), in this order,
// and column (y, x) of the output is the pixel
//
//	(y*StepY + FirstY + i*TapY, x*StepX + FirstX + j*TapX)
//
// of channel c, 0 outside of the image. Products gather the pixels as they pack their operands.
type Patches struct {
	Data                    []float32 // channels x height x width
	Channels, Height, Width int
	KernelH, KernelW        int // taps
	OutH, OutW              int
	StepY, StepX            int // from one output to the next, at least 1
	FirstY, FirstX          int // pixel of the first tap of the first output
	TapY, TapX              int // from one tap to the next
}

// Rows returns the number of rows of the matrix.
func (p *Patches) Rows() int { return p.Channels * p.KernelH * p.KernelW }

// Cols returns the number of columns of the matrix.
func (p *Patches) Cols() int { return p.OutH * p.OutW }

// GemmPatches computes c = alpha*a*b + beta*c, where c has contiguous rows. Otherwise it is like Gemm.
func GemmPatches(alpha float32, a Mat, b Patches, beta float32, c Mat) {
	gemmPatches(alpha, a, &patchPanels{Patches: b}, b.Rows(), b.Cols(), beta, c)
}

// GemmPatchesT computes c = alpha*a*bᵀ + beta*c, where c has contiguous rows. Otherwise it is like Gemm.
func GemmPatchesT(alpha float32, a Mat, b Patches, beta float32, c Mat) {
	gemmPatches(alpha, a, &patchPanels{Patches: b, transposed: true}, b.Cols(), b.Rows(), beta, c)
}

// gemmPatches keeps no reference to b, so that it need not be allocated.
func gemmPatches(alpha float32, a Mat, b *patchPanels, rows, cols int, beta float32, c Mat) {
	checkProduct(a, rows, cols, c)
	if b.StepY < 1 || b.StepX < 1 || len(b.Data) < b.Channels*b.Height*b.Width {
		panic(fmt.Sprintf("cpu: patches of %d channels of %dx%d in %d elements, with steps %d and %d", b.Channels, b.Height, b.Width, len(b.Data), b.StepY, b.StepX))
	}
	if c.CS != 1 && c.Cols > 1 {
		panic(fmt.Sprintf("cpu: product of patches into rows with stride %d; expected contiguous rows", c.CS))
	}
	if trivial(alpha, a.Cols, beta, nil, c) {
		return
	}
	source := idlePatches.get()
	*source = *b
	c.CS = 1
	if a.Cols == 1 {
		a.CS = 1
	}
	g := product{ks: currentKernels(), m: c.Rows, n: c.Cols, k: a.Cols, alpha: alpha, beta: beta, a: a, c: c, source: source}
	g.plan()
	g.compute()
	*source = patchPanels{} // keep no operand alive
	idlePatches.put(source)
}

// panelSource is a right operand that is not in memory as a matrix.
type panelSource interface {
	// packPanels brings rows [p0, p1) of columns [j0, j1) into panels of nr columns, stride elements apart: element (p, j) of a panel is at
	// (p-p0)*nr + j.
	packPanels(ks *kernels, dst []float32, stride, p0, p1, j0, j1 int)
}

// patchPanels is the matrix of patches, or its transpose, as a right operand.
type patchPanels struct {
	Patches
	transposed bool
}

var idlePatches free[patchPanels]

func (b *patchPanels) packPanels(ks *kernels, dst []float32, stride, p0, p1, j0, j1 int) {
	w := idlePatchScratch.get()
	for j := j0; j < j1; j += ks.nr {
		panel := dst[(j-j0)/ks.nr*stride:]
		if b.transposed {
			b.packTransposed(ks, w, panel, p0, p1, j, min(j+ks.nr, j1))
		} else {
			b.pack(ks, w, panel[:(p1-p0)*ks.nr], p0, j, min(j+ks.nr, j1))
		}
	}
	idlePatchScratch.put(w)
}

// patchScratch is working memory of a packer.
type patchScratch struct {
	runs  []run
	table []patchRun
	lines []float32
}

var idlePatchScratch free[patchScratch]

// run is a part of consecutive outputs that lies in one row of the image: elements [lo, hi) of [at, end) are pixels, from index from on
// and StepX apart, those around them 0.
type run struct {
	at, lo, hi, end int
	from            int
}

// runs appends the runs of tap (i, j) for the columns [j0, j1) of the matrix. They are the same for all channels.
func (p *Patches) runs(runs []run, i, j, j0, j1 int) []run {
	y, x := j0/p.OutW, j0%p.OutW
	for at := 0; at < j1-j0; y, x = y+1, 0 {
		n := min(p.OutW-x, j1-j0-at)
		r := run{at: at, lo: at, hi: at, end: at + n}
		row, column := y*p.StepY+p.FirstY+i*p.TapY, x*p.StepX+p.FirstX+j*p.TapX
		if row >= 0 && row < p.Height {
			before, until := -column, p.Width-column
			if p.StepX > 1 {
				before, until = (before+p.StepX-1)/p.StepX, (until+p.StepX-1)/p.StepX
			}
			before = min(max(before, 0), n)
			r.lo, r.hi = at+before, at+min(max(until, before), n)
			r.from = row*p.Width + column + before*p.StepX
		}
		runs = append(runs, r)
		at += n
	}
	return runs
}

// patchRun is a run in the form that the assembly takes: column l of a panel is the pixel l places after from if its mask is all ones. The
// assembly knows the size and the fields.
type patchRun struct {
	from int // in bytes
	mask [32]uint32
}

// set makes t the run r of single steps.
func (t *patchRun) set(r run) {
	t.from = 4 * (r.from - r.lo)
	t.mask = [32]uint32{}
	for l := r.lo; l < r.hi; l++ {
		t.mask[l] = ^uint32(0)
	}
}

// fill writes the pixels of a run to the elements of dst.
func (r *run) fill(dst, channel []float32, step int) {
	if r.lo > r.at {
		clear(dst[r.at:r.lo])
	}
	if r.end > r.hi {
		clear(dst[r.hi:r.end])
	}
	to := dst[r.lo:r.hi]
	if len(to) == 0 {
		return
	}
	from := channel[r.from:]
	if step == 1 {
		copy(to, from[:len(to)])
		return
	}
	for t := range to {
		to[t] = from[t*step]
	}
}

// pack fills the panel of columns [j0, j1) with rows from p0 on.
func (p *Patches) pack(ks *kernels, w *patchScratch, panel []float32, p0, j0, j1 int) {
	taps, size := p.KernelH*p.KernelW, p.Height*p.Width
	w.runs = w.runs[:0]
	for t := range taps {
		w.runs = p.runs(w.runs, t/p.KernelW, t%p.KernelW, j0, j1)
	}
	each := len(w.runs) / taps
	channel, tap := p.Data[p0/taps*size:], p0%taps
	if p.StepX == 1 && ks.gathers {
		w.table = w.table[:0]
		for _, r := range w.runs {
			w.table = append(w.table, patchRun{})
			w.table[len(w.table)-1].set(r)
		}
		ks.packPatches(&panel[0], &channel[0], 4*size, &w.table[0], each, taps, tap, len(panel)/ks.nr)
		return
	}
	for ; len(panel) > 0; panel = panel[ks.nr:] {
		row := panel[:ks.nr]
		clear(row[j1-j0:])
		runs := w.runs[tap*each : (tap+1)*each]
		for i := range runs {
			runs[i].fill(row, channel, p.StepX)
		}
		if tap++; tap == taps && len(panel) > ks.nr {
			channel, tap = channel[size:], 0
		}
	}
}

// patchLine is how many columns of the matrix are gathered before they are transposed.
const patchLine = 128

// packTransposed fills the panel of rows [j0, j1) of the matrix with columns [p0, p1).
func (p *Patches) packTransposed(ks *kernels, w *patchScratch, panel []float32, p0, p1, j0, j1 int) {
	taps, size := p.KernelH*p.KernelW, p.Height*p.Width
	w.lines = room(w.lines, ks.nr*patchLine)
	for q := p0; q < p1; q += patchLine {
		n := min(patchLine, p1-q)
		for r := j0; r < j1; r++ {
			line := w.lines[(r-j0)*patchLine:][:n]
			w.runs = p.runs(w.runs[:0], r%taps/p.KernelW, r%taps%p.KernelW, q, q+n)
			for i := range w.runs {
				w.runs[i].fill(line, p.Data[r/taps*size:], p.StepX)
			}
		}
		lines := Mat{Data: w.lines, Rows: n, Cols: j1 - j0, RS: 1, CS: patchLine}
		ks.packB(panel[(q-p0)*ks.nr:], 0, lines, 0, n, 0, j1-j0)
	}
}
