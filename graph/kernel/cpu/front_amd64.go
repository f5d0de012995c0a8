package cpu

import "math"

// The functions below run the assembly on the front of equally long vectors and return how many elements it handled: all whole steps,
// none at the generic level. These operations are limited by memory, so AVX-512 machines use AVX2 for them too.

// front returns the number of elements the assembly handles.
func front(n int) int {
	if currentLevel() == generic {
		return 0
	}
	return n / asmStep * asmStep
}

func axpyFront(alpha float32, x, y []float32) int {
	n := front(len(x))
	for i := 0; i < n; i += asmMost {
		axpyAVX2(alpha, &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func scaleFront(x []float32, alpha float32) int {
	n := front(len(x))
	for i := 0; i < n; i += asmMost {
		scaleAVX2(&x[i], alpha, min(asmMost, n-i))
	}
	return n
}

func addFront(dst, x, y []float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		addAVX2(&dst[i], &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func mulFront(dst, x, y []float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		mulAVX2(&dst[i], &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func softmaxGradFront(d, p []float32, delta float32) int {
	n := front(len(d))
	for i := 0; i < n; i += asmMost {
		softmaxGradAVX2(&d[i], &p[i], delta, min(asmMost, n-i))
	}
	return n
}

func dotFront(x, y []float32) (sum float32, n int) {
	n = front(len(x))
	for i := 0; i < n; i += asmMost {
		sum += dotAVX2(&x[i], &y[i], min(asmMost, n-i))
	}
	return sum, n
}

func sumFront(x []float32) (sum float32, n int) {
	n = front(len(x))
	for i := 0; i < n; i += asmMost {
		sum += sumAVX2(&x[i], min(asmMost, n-i))
	}
	return sum, n
}

func maxFront(x []float32) (top float32, n int) {
	top, n = float32(math.Inf(-1)), front(len(x))
	for i := 0; i < n; i += asmMost {
		top = max(top, maxAVX2(&x[i], min(asmMost, n-i)))
	}
	return top, n
}

func (c *AdamW) front(x, g, m, v []float32) int {
	n := front(len(x))
	for i := 0; i < n; i += asmMost {
		adamWAVX2(&c.Keep, &x[i], &g[i], &m[i], &v[i], min(asmMost, n-i))
	}
	return n
}

func widenBF16Front(dst []float32, src []uint16) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		widenBF16AVX2(&dst[i], &src[i], min(asmMost, n-i))
	}
	return n
}

func widenF16Front(dst []float32, src []uint16) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		widenF16AVX2(&dst[i], &src[i], min(asmMost, n-i))
	}
	return n
}

// run applies the curve to n elements, a multiple of asmStep.
func (c curve) run(l level, dst, src *float32, n int) {
	if l == avx512 {
		switch c {
		case expCurve:
			expAVX512(dst, src, n)
		case tanhCurve:
			tanhAVX512(dst, src, n)
		case erfCurve:
			erfAVX512(dst, src, n)
		case sigmoidCurve:
			sigmoidAVX512(dst, src, n)
		}
		return
	}
	switch c {
	case expCurve:
		expAVX2(dst, src, n)
	case tanhCurve:
		tanhAVX2(dst, src, n)
	case erfCurve:
		erfAVX2(dst, src, n)
	case sigmoidCurve:
		sigmoidAVX2(dst, src, n)
	}
}

func expSub(l level, x *float32, shift float32, n int) float32 {
	if l == avx512 {
		return expSubAVX512(x, shift, n)
	}
	return expSubAVX2(x, shift, n)
}
