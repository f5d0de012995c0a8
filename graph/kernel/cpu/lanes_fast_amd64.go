package cpu

// The functions below report false, or 0 elements done, where the level has no kernel. Operands are not empty.

const laneBytes = 8 * Lanes

func mulSubFast(a, b, c LaneMat) bool {
	if currentLevel() == generic {
		return false
	}
	rows := max(2, asmMost/(c.Cols*a.Cols)&^1)
	for i := 0; i < c.Rows; i += rows {
		x, z := &a.Data[Lanes*i*a.Stride], &c.Data[Lanes*i*c.Stride]
		mulSubLanesAVX2(a.Cols, x, laneBytes*a.Stride, &b.Data[0], laneBytes*b.Stride, z, laneBytes*c.Stride, min(rows, c.Rows-i), c.Cols)
	}
	return true
}

func solveLowerFast(l, y LaneMat) bool {
	if currentLevel() == generic {
		return false
	}
	cols := solveColumns(y)
	for j := 0; j < y.Cols; j += cols {
		solveLowerLanesAVX2(&l.Data[0], laneBytes*l.Stride, &y.Data[Lanes*j], laneBytes*y.Stride, y.Rows, min(cols, y.Cols-j))
	}
	return true
}

func solveUpperFast(u LaneMat, inverses []float64, y LaneMat) bool {
	if currentLevel() == generic {
		return false
	}
	cols := solveColumns(y)
	for j := 0; j < y.Cols; j += cols {
		solveUpperLanesAVX2(&u.Data[0], laneBytes*u.Stride, &inverses[0], &y.Data[Lanes*j], laneBytes*y.Stride, y.Rows, min(cols, y.Cols-j))
	}
	return true
}

// solveColumns returns how many columns a substitution handles in one call.
func solveColumns(y LaneMat) int { return max(8, 4*asmMost/(y.Rows*y.Rows)&^7) }

func eliminateFast(m LaneMat, inverse *[Lanes]float64) bool {
	if currentLevel() == generic {
		return false
	}
	eliminateLanesAVX2(&m.Data[0], laneBytes*m.Stride, &inverse[0], m.Rows-1, m.Cols-1)
	return true
}

// subLanesFast computes dst = s·(x-y) for n elements; those of x are stride apart.
func subLanesFast(dst, x []float64, stride int, y []float64, s float64, n int) bool {
	if currentLevel() == generic {
		return false
	}
	subLanesAVX2(&dst[0], &x[0], laneBytes*stride, &y[0], s, n)
	return true
}

func pivotLanesFast(x []float64, stride, n int, at *[Lanes]float64) bool {
	if currentLevel() == generic {
		return false
	}
	pivotLanesAVX2(&x[0], laneBytes*stride, n, &at[0])
	return true
}

func spreadFront(dst []float64, rows *[Lanes][]float32, n int) int {
	n = n / 4 * 4
	if n == 0 || currentLevel() == generic {
		return 0
	}
	p := [Lanes]*float32{&rows[0][0], &rows[1][0], &rows[2][0], &rows[3][0]}
	spreadLanesAVX2(&dst[0], &p[0], n)
	return n
}

func gatherFront(rows *[Lanes][]float32, src []float64, n int) int {
	n = n / 4 * 4
	if n == 0 || currentLevel() == generic {
		return 0
	}
	p := [Lanes]*float32{&rows[0][0], &rows[1][0], &rows[2][0], &rows[3][0]}
	gatherLanesAVX2(&p[0], &src[0], n)
	return n
}
