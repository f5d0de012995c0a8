package cpu

import "fmt"

// Weights is a row-major matrix in its storage type. Exactly one slice is set; BF16 and F16 hold the bits of bfloat16 and of IEEE 754
// half values.
type Weights struct {
	F32        []float32
	BF16, F16  []uint16
	Rows, Cols int
}

// Len returns the number of stored elements.
func (w Weights) Len() int { return max(len(w.F32), len(w.BF16), len(w.F16)) }

// check panics unless there are Rows*Cols elements.
func (w Weights) check() {
	if n := w.Len(); w.Rows < 0 || w.Cols < 0 || n < w.Rows*w.Cols {
		panic(fmt.Sprintf("cpu: weights of %dx%d with %d elements", w.Rows, w.Cols, n))
	}
}

// Widen stores the len(dst) elements of w that start at index from in dst, exactly.
func Widen(dst []float32, w Weights, from int) {
	switch {
	case w.BF16 != nil:
		widenBF16(dst, w.BF16[from:from+len(dst)])
	case w.F16 != nil:
		widenF16(dst, w.F16[from:from+len(dst)])
	default:
		copy(dst, w.F32[from:from+len(dst)])
	}
}

func widenBF16(dst []float32, src []uint16) {
	for i := widenBF16Front(dst, src); i < len(dst); i++ {
		dst[i] = BF16ToF32(src[i])
	}
}

func widenF16(dst []float32, src []uint16) {
	for i := widenF16Front(dst, src); i < len(dst); i++ {
		dst[i] = F16ToF32(src[i])
	}
}
