package cpu

import "math"

// The functions below work in float64. Each has one order of operations, with multiplications fused or not as it says, so that every
// platform gives the same bits.

// Axpy64 computes y += s*x, not fused.
func Axpy64(s float64, x, y []float64) {
	y = y[:len(x)]
	for i := axpy64Front(s, x, y); i < len(x); i++ {
		y[i] += float64(s * x[i])
	}
}

// Rotate64 replaces a, b by c*a - s*b, s*a + c*b, not fused.
func Rotate64(c, s float64, a, b []float64) {
	b = b[:len(a)]
	for i := rotate64Front(c, s, a, b); i < len(a); i++ {
		p, q := a[i], b[i]
		a[i] = float64(c*p) - float64(s*q)
		b[i] = float64(s*p) + float64(c*q)
	}
}

// Dot64 returns the inner product of x and y, fused.
func Dot64(x, y []float64) float64 {
	y = y[:len(x)]
	var sum float64
	for len(x) > asmMost {
		sum += dot64(x[:asmMost], y[:asmMost])
		x, y = x[asmMost:], y[asmMost:]
	}
	return sum + dot64(x, y)
}

func dot64(x, y []float64) float64 {
	n := len(x) &^ 3
	sum, done := dot64Front(x[:n], y[:n])
	if !done {
		var s sums64
		for i := 0; i < n; i++ {
			s.add(i, n, x[i], y[i])
		}
		sum = s.fold()
	}
	for i := n; i < len(x); i++ {
		sum = math.FMA(x[i], y[i], sum)
	}
	return sum
}

// SumSquares returns the sum of the squares of x, which are exact.
func SumSquares(x []float32) float64 {
	var sum float64
	for ; len(x) > asmMost; x = x[asmMost:] {
		sum += sumSquares(x[:asmMost])
	}
	return sum + sumSquares(x)
}

func sumSquares(x []float32) float64 {
	n := len(x) &^ 3
	sum, done := squaresFront(x[:n])
	if !done {
		var s sums64
		for i, v := range x[:n] {
			s.add(i, n, float64(v), float64(v))
		}
		sum = s.fold()
	}
	for _, v := range x[n:] {
		sum += float64(float64(v) * float64(v))
	}
	return sum
}

// sums64 is a sum of n terms in 16 interleaved parts, those behind the last 16 in 4.
type sums64 [16]float64

// add adds the product x·y as term i.
func (s *sums64) add(i, n int, x, y float64) {
	if i >= n&^15 {
		i %= 4
	}
	s[i%16] = math.FMA(x, y, s[i%16])
}

func (s *sums64) fold() float64 {
	for _, half := range []int{8, 4} {
		for i := range half {
			s[i] += s[half+i]
		}
	}
	return (s[0] + s[2]) + (s[1] + s[3])
}

// Dots64 returns the inner products x0·y0, x0·y1, x1·y0, x1·y1 of equally long vectors, fused. The length is a multiple of
// 8, and small.
func Dots64(x0, x1, y0, y1 []float64) (p [4]float64) {
	n := len(x0)
	if n%8 != 0 {
		panic("cpu: inner products of vectors whose length is not a multiple of 8")
	}
	x1, y0, y1 = x1[:n], y0[:n], y1[:n]
	if dots64Front(x0, x1, y0, y1, &p) {
		return p
	}
	for i, x := range [][]float64{x0, x1} {
		for j, y := range [][]float64{y0, y1} {
			var s sums64
			for l := range x {
				s[l%8] = math.FMA(x[l], y[l], s[l%8])
			}
			p[2*i+j] = s.fold()
		}
	}
	return p
}
