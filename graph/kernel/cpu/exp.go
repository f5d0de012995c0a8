package cpu

import "math"

// ExpSub computes x = e^(x-shift) in place and returns the sum, added in an order that depends on the length alone. The powers have
// a relative error below 2e-7, keep NaN, and are the same for an element wherever it stands.
func ExpSub(x []float32, shift float32) (sum float32) {
	l := currentLevel()
	if l == generic {
		for i, v := range x {
			x[i] = float32(math.Exp(float64(v - shift)))
		}
		return Sum(x)
	}
	n := len(x) / asmStep * asmStep
	for i := 0; i < n; i += asmMost {
		sum += expSub(l, &x[i], shift, min(asmMost, n-i))
	}
	if n < len(x) {
		rest := [asmStep]float32{}
		for i := copy(rest[:], x[n:]); i < asmStep; i++ {
			rest[i] = float32(math.Inf(-1)) // adds 0
		}
		sum += expSub(l, &rest[0], shift, asmStep)
		copy(x[n:], rest[:])
	}
	return sum
}

// SoftmaxRow computes dst = softmax(src) and returns the largest element and the sum of e^(x-top), with which a backward pass can
// compute it again. A row of -Inf gives zeros. dst may be src.
func SoftmaxRow(dst, src []float32) (top, sum float32) {
	copy(dst, src[:len(dst)])
	top = Max(dst)
	if math.IsInf(float64(top), -1) {
		clear(dst)
		return top, 0
	}
	sum = ExpSub(dst, top)
	Scale(dst, 1/sum)
	return top, sum
}
