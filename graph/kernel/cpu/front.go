//go:build amd64 || arm64

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
		axpySteps(alpha, &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func scaleFront(x []float32, alpha float32) int {
	n := front(len(x))
	for i := 0; i < n; i += asmMost {
		scaleSteps(&x[i], alpha, min(asmMost, n-i))
	}
	return n
}

func addFront(dst, x, y []float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		addSteps(&dst[i], &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func mulFront(dst, x, y []float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		mulSteps(&dst[i], &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func softmaxGradFront(d, p []float32, delta float32) int {
	n := front(len(d))
	for i := 0; i < n; i += asmMost {
		softmaxGradSteps(&d[i], &p[i], delta, min(asmMost, n-i))
	}
	return n
}

func normalizeFront(dst, x []float32, mean, scale, offset float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		normalizeSteps(&dst[i], &x[i], mean, scale, offset, min(asmMost, n-i))
	}
	return n
}

func scaledProductFront(dst, x, y []float32, scale float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		scaledProductSteps(&dst[i], &x[i], &y[i], scale, min(asmMost, n-i))
	}
	return n
}

func addNormalizedFront(dst, grad, x []float32, mean, scale float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		addNormalizedSteps(&dst[i], &grad[i], &x[i], mean, scale, min(asmMost, n-i))
	}
	return n
}

func normGradFront(dst, grad, x []float32, gain, mean, scale, offset float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		normGradSteps(&dst[i], &grad[i], &x[i], gain, mean, scale, offset, min(asmMost, n-i))
	}
	return n
}

func weightedNormGradFront(dst, grad, w, x []float32, gain, mean, scale, offset float32) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		weightedNormGradSteps(&dst[i], &grad[i], &w[i], &x[i], gain, mean, scale, offset, min(asmMost, n-i))
	}
	return n
}

// sumBlock is how many terms a sum in float64 has added in float32.
const sumBlock = 256

func normSumsFront(grad, x []float32, mean float32) (sum, pull float64, n int) {
	n = front(len(grad))
	for i := 0; i < n; i += sumBlock {
		var sums [2]float32
		normSumsSteps(&grad[i], &x[i], mean, min(sumBlock, n-i), &sums[0])
		sum, pull = sum+float64(sums[0]), pull+float64(sums[1])
	}
	return sum, pull, n
}

func weightedNormSumsFront(grad, w, x []float32, mean float32) (sum, pull float64, n int) {
	n = front(len(grad))
	for i := 0; i < n; i += sumBlock {
		var sums [2]float32
		weightedNormSumsSteps(&grad[i], &w[i], &x[i], mean, min(sumBlock, n-i), &sums[0])
		sum, pull = sum+float64(sums[0]), pull+float64(sums[1])
	}
	return sum, pull, n
}

func dotFront(x, y []float32) (sum float32, n int) {
	n = front(len(x))
	for i := 0; i < n; i += asmMost {
		sum += dotSteps(&x[i], &y[i], min(asmMost, n-i))
	}
	return sum, n
}

func sumFront(x []float32) (sum float32, n int) {
	n = front(len(x))
	for i := 0; i < n; i += asmMost {
		sum += sumSteps(&x[i], min(asmMost, n-i))
	}
	return sum, n
}

func deviationsFront(x []float32, mean float32) (sum float64, n int) {
	n = front(len(x))
	for i := 0; i < n; i += sumBlock {
		sum += float64(deviationsSteps(&x[i], mean, min(sumBlock, n-i)))
	}
	return sum, n
}

func maxFront(x []float32) (top float32, n int) {
	top, n = float32(math.Inf(-1)), front(len(x))
	for i := 0; i < n; i += asmMost {
		top = max(top, maxSteps(&x[i], min(asmMost, n-i)))
	}
	return top, n
}

func (c *AdamW) front(x, g, m, v []float32) int {
	n := front(len(x))
	for i := 0; i < n; i += asmMost {
		adamWSteps(&c.Keep, &x[i], &g[i], &m[i], &v[i], min(asmMost, n-i))
	}
	return n
}

func widenBF16Front(dst []float32, src []uint16) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		widenBF16Steps(&dst[i], &src[i], min(asmMost, n-i))
	}
	return n
}

func widenF16Front(dst []float32, src []uint16) int {
	n := front(len(dst))
	for i := 0; i < n; i += asmMost {
		widenF16Steps(&dst[i], &src[i], min(asmMost, n-i))
	}
	return n
}

// rotateFront turns whole steps of the pairs of all heads and returns how many pairs of each.
func rotateFront(dst, src, cos, sin []float32, sign float32, heads, stride int) int {
	half := len(cos)
	n := min(half, asmMost) / rotaryStep * rotaryStep
	if n == 0 || heads == 0 || currentLevel() == generic {
		return 0
	}
	size := (heads-1)*stride + 2*half
	dst, src = dst[:size], src[:size]
	for most := asmMost / n; heads > 0; heads -= most {
		rotateSteps(&dst[0], &src[0], &cos[0], &sin[0], sign, n, 4*half, min(heads, most), 4*stride)
		dst, src = dst[min(most*stride, len(dst)):], src[min(most*stride, len(src)):]
	}
	return n
}
