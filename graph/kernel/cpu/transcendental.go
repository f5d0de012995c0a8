package cpu

import "math"

// Exp computes dst = eˣ elementwise. dst may be src. This and the functions below have a relative error below 2e-7.
func Exp(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = float32(math.Exp(float64(x)))
	}
}

// ExpSub computes x = e^(x-shift) in place and returns the sum, added in an order that depends on the length alone.
func ExpSub(x []float32, shift float32) (sum float32) {
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v - shift)))
	}
	return Sum(x)
}

// Tanh computes dst = tanh(x) elementwise. dst may be src.
func Tanh(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = float32(math.Tanh(float64(x)))
	}
}

// Erf computes dst = erf(x) elementwise. dst may be src.
func Erf(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = float32(math.Erf(float64(x)))
	}
}

// Sigmoid computes dst = 1/(1+e⁻ˣ) elementwise. dst may be src.
func Sigmoid(dst, src []float32) {
	src = src[:len(dst)]
	for i, x := range src {
		dst[i] = float32(1 / (1 + math.Exp(-float64(x))))
	}
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

// SoftmaxGrad computes d = p * (d - delta) in place: the gradient of the scores from that of the probabilities p, with delta = Σ d·p.
func SoftmaxGrad(d, p []float32, delta float32) {
	p = p[:len(d)]
	for i := range d {
		d[i] = p[i] * (d[i] - delta)
	}
}
