package cpu

import "math"

const (
	asmStep = 16      // elements a turn of the assembly's loops
	asmMost = 1 << 16 // elements a call, because nothing can interrupt one
)

// Each function below leaves the front of its vectors to the assembly of the level, which says how far it got, and does the rest.

// Axpy computes y += alpha*x.
func Axpy(alpha float32, x, y []float32) {
	y = y[:len(x)]
	for i := axpyFront(alpha, x, y); i < len(x); i++ {
		y[i] += alpha * x[i]
	}
}

// Scale computes x *= alpha.
func Scale(x []float32, alpha float32) {
	for i := scaleFront(x, alpha); i < len(x); i++ {
		x[i] *= alpha
	}
}

// Add computes dst = x + y. dst may be x or y.
func Add(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := addFront(dst, x, y); i < len(dst); i++ {
		dst[i] = x[i] + y[i]
	}
}

// Mul computes dst = x * y elementwise. dst may be x or y.
func Mul(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := mulFront(dst, x, y); i < len(dst); i++ {
		dst[i] = x[i] * y[i]
	}
}

// SoftmaxGrad computes d = p * (d - delta) in place: the gradient of the scores from that of the probabilities p, with delta = Σ d·p.
func SoftmaxGrad(d, p []float32, delta float32) {
	p = p[:len(d)]
	for i := softmaxGradFront(d, p, delta); i < len(d); i++ {
		d[i] = p[i] * (d[i] - delta)
	}
}

// Dot returns the inner product of x and y, summed in an order that depends on the length alone.
func Dot(x, y []float32) float32 {
	y = y[:len(x)]
	front, n := dotFront(x, y)
	x, y = x[n:], y[n:]
	var s [8]float32
	for len(x) >= 8 {
		for l := range s {
			s[l] += x[l] * y[l]
		}
		x, y = x[8:], y[8:]
	}
	for l := range x {
		s[l] += x[l] * y[l]
	}
	return front + fold(&s)
}

// Sum returns the sum of x, in an order that depends on the length alone.
func Sum(x []float32) float32 {
	front, n := sumFront(x)
	x = x[n:]
	var s [8]float32
	for len(x) >= 8 {
		for l := range s {
			s[l] += x[l]
		}
		x = x[8:]
	}
	for l := range x {
		s[l] += x[l]
	}
	return front + fold(&s)
}

// fold adds up partial sums.
func fold(s *[8]float32) float32 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

// Max returns the largest element of x, -Inf for none. If an element is NaN the result is NaN.
func Max(x []float32) float32 {
	m, n := maxFront(x)
	for _, v := range x[n:] {
		m = max(m, v)
	}
	return m
}

// AdamW holds the scalars of one step of AdamW (Loshchilov and Hutter 2019). For gradient g and averages m, v it computes
//
//	m = Beta1*m + Mix1*g
//	v = Beta2*v + Mix2*g²
//	x = Keep*x - Rate*m / (√v/RootCorrection2 + Eps)
//
// where the last term is 0 for m == 0. The assembly knows the order of the fields.
type AdamW struct{ Keep, Beta1, Mix1, Beta2, Mix2, RootCorrection2, Eps, Rate float32 }

// Step performs the step on slices of equal length. Every platform gives the same bits: no multiplication is fused with an addition.
func (c *AdamW) Step(x, g, m, v []float32) {
	g, m, v = g[:len(x)], m[:len(x)], v[:len(x)]
	for i := c.front(x, g, m, v); i < len(x); i++ {
		m[i] = float32(c.Beta1*m[i]) + float32(c.Mix1*g[i])
		v[i] = float32(c.Beta2*v[i]) + float32(float32(c.Mix2*g[i])*g[i])
		denom := float32(math.Sqrt(float64(v[i])))/c.RootCorrection2 + c.Eps
		if m[i] != 0 {
			x[i] = float32(c.Keep*x[i]) - float32(c.Rate*m[i])/denom
		} else {
			x[i] *= c.Keep
		}
	}
}
