package cpu

// PackedB is the right operand of products, stored once in the order in which the kernels read it, in its storage type.
type PackedB struct {
	w         Weights
	transpose bool
}

// PackB returns w, or its transpose, packed as the right operand of GemmPacked. It keeps no reference to w.
func PackB(w Weights, transpose bool) *PackedB {
	w.check()
	w.F32 = append([]float32(nil), w.F32...)
	w.BF16 = append([]uint16(nil), w.BF16...)
	w.F16 = append([]uint16(nil), w.F16...)
	return &PackedB{w, transpose}
}

// Bytes returns the size of the packed copy.
func (p *PackedB) Bytes() int { return 4*len(p.w.F32) + 2*(len(p.w.BF16)+len(p.w.F16)) }

// Rows and Cols return the shape of the operand.
func (p *PackedB) Rows() int {
	if p.transpose {
		return p.w.Cols
	}
	return p.w.Rows
}

// Cols returns the number of columns of the operand.
func (p *PackedB) Cols() int {
	if p.transpose {
		return p.w.Rows
	}
	return p.w.Cols
}

// GemmPacked computes c = alpha*a*b + beta*c; see Gemm.
func GemmPacked(alpha float32, a Mat, b *PackedB, beta float32, c Mat) {
	wide := b.w.F32
	if wide == nil {
		wide = make([]float32, b.w.Rows*b.w.Cols)
		Widen(wide, b.w, 0)
	}
	m := Dense(wide, b.w.Rows, b.w.Cols)
	if b.transpose {
		m = m.T()
	}
	Gemm(alpha, a, m, beta, c)
}
