package cpu

import "math"

// curve is a transcendental function.
type curve int

const (
	expCurve curve = iota
	tanhCurve
	erfCurve
	sigmoidCurve
)

// Exp computes dst = eˣ elementwise. dst may be src. This and the functions below have a relative error below 2e-7, keep NaN, and give
// the same result for an element wherever it stands.
func Exp(dst, src []float32) { expCurve.apply(dst, src) }

// Tanh computes dst = tanh(x) elementwise. dst may be src.
func Tanh(dst, src []float32) { tanhCurve.apply(dst, src) }

// Erf computes dst = erf(x) elementwise. dst may be src.
func Erf(dst, src []float32) { erfCurve.apply(dst, src) }

// Sigmoid computes dst = 1/(1+e⁻ˣ) elementwise. dst may be src.
func Sigmoid(dst, src []float32) { sigmoidCurve.apply(dst, src) }

const (
	asmStep = 16      // elements a turn of the assembly's loops
	asmMost = 1 << 16 // elements a call, because nothing can interrupt one
)

func (c curve) apply(dst, src []float32) {
	src = src[:len(dst)]
	l := currentLevel()
	if l == generic {
		c.generic(dst, src)
		return
	}
	n := len(dst) / asmStep * asmStep
	for i := 0; i < n; i += asmMost {
		c.run(l, &dst[i], &src[i], min(asmMost, n-i))
	}
	if n < len(dst) {
		var rest [asmStep]float32
		copy(rest[:], src[n:])
		c.run(l, &rest[0], &rest[0], asmStep)
		copy(dst[n:], rest[:])
	}
}

// generic computes in float64.
func (c curve) generic(dst, src []float32) {
	for i, v := range src {
		x := float64(v)
		switch c {
		case expCurve:
			x = math.Exp(x)
		case tanhCurve:
			x = math.Tanh(x)
		case erfCurve:
			x = math.Erf(x)
		case sigmoidCurve:
			x = 1 / (1 + math.Exp(-x))
		}
		dst[i] = float32(x)
	}
}

// ExpSub computes x = e^(x-shift) in place and returns the sum, added in an order that depends on the length alone.
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
