package cpu

// panelA returns the size of a panel of k columns of a. Behind the last column there is room for all lines of the packers, which write
// further than the next column begins.
func (ks *kernels) panelA(k int) int { return roundUp(ks.column*(k-1)+ks.lines, 16) }

// packA brings rows [i0, i1) and columns [p0, p0+k) of a into panels of mr rows: element (i, p) of a panel is at p*column + i.
func (ks *kernels) packA(dst []float32, a Mat, mr, i0, i1, p0, k int) {
	size, row := ks.panelA(k), ks.column
	switch {
	case ks.level != generic && a.CS == 1:
		for i := i0; i < i1; i += mr {
			ks.packPanelLines(dst, 4*row, a.Data[p0:], a.RS, i, min(mr, i1-i), k)
			dst = dst[size:]
		}
	case ks.level != generic && a.RS == 1:
		full, rest := (i1-i0)/mr, (i1-i0)%mr
		src := a.Data[p0*a.CS:]
		if full > 0 {
			ks.copyPanels(ks.lines, &dst[0], 4*row, 4*size, &src[i0], 4*a.CS, 4*mr, k, full, mr)
		}
		if rest > 0 {
			ks.copyPanels(ks.lines, &dst[full*size], 4*row, 4*size, &src[i1-rest], 4*a.CS, 0, k, 1, rest)
		}
	default:
		for i := i0; i < i1; i += mr {
			packStrided(dst, row, a.Data[i*a.RS+p0*a.CS:], a.CS, a.RS, k, min(mr, i1-i))
			dst = dst[size:]
		}
	}
}

// packB brings rows [p0, p1) of the columns [j0, j1) of b into panels of nr columns and stride elements: element (p, j) of a panel is at
// (p-p0)*nr + j.
func (ks *kernels) packB(dst []float32, stride int, b Mat, p0, p1, j0, j1 int) {
	k, nr := p1-p0, ks.nr
	if k == 0 {
		return
	}
	full, rest := (j1-j0)/nr, (j1-j0)%nr
	switch {
	case ks.level != generic && b.CS == 1:
		src := b.Data[p0*b.RS:]
		most := max(full, 1)
		if ks.panels > 1 {
			most = ks.panels // more streams to write than that disturb each other
		}
		for q := 0; q < full; q += most {
			ks.copyPanels(nr, &dst[q*stride], 4*nr, 4*stride, &src[j0+q*nr], 4*b.RS, 4*nr, k, min(most, full-q), nr)
		}
		if rest > 0 {
			ks.copyPanels(nr, &dst[full*stride], 4*nr, 4*stride, &src[j1-rest], 4*b.RS, 0, k, 1, rest)
		}
	case ks.level != generic && b.RS == 1:
		for j := j0; j < j1; j += nr {
			panel := dst[(j-j0)/nr*stride:]
			for half := 0; half < min(nr, j1-j); half += ks.lines {
				ks.packPanelLines(panel[half:], 4*nr, b.Data[p0:], b.CS, j+half, min(ks.lines, j1-j-half), k)
			}
		}
	default:
		for j := j0; j < j1; j += nr {
			packStrided(dst[(j-j0)/nr*stride:], nr, b.Data[p0*b.RS+j*b.CS:], b.RS, b.CS, k, min(nr, j1-j))
		}
	}
}

// packPanelLines transposes k elements of each of count lines from index first on; the lines begin stride elements apart. The places of
// further lines get copies of the last.
func (ks *kernels) packPanelLines(dst []float32, dstRow int, src []float32, stride, first, count, k int) {
	var lines [16]*float32
	for l := range ks.lines {
		lines[l] = &src[(first+min(l, count-1))*stride]
	}
	ks.packLines(&dst[0], dstRow, &lines, k)
}

// packStrided copies k rows of count elements of any strides to rows of width elements.
func packStrided(dst []float32, width int, src []float32, rs, cs, k, count int) {
	for p := range k {
		row := dst[p*width:][:count]
		for j := range row {
			row[j] = src[p*rs+j*cs]
		}
	}
}
