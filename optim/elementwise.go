package optim

import "github.com/geotune/geotune/graph/kernel/cpu"

// chunkSize is the number of elements that one task works on. It is fixed, so that sums have the same order for any GOMAXPROCS.
const chunkSize = 1 << 14

// forChunks calls f, in parallel, for the consecutive ranges of chunkSize elements (the last may be shorter) that cover 0..n.
func forChunks(n int, f func(lo, hi int)) {
	if n <= chunkSize {
		f(0, n)
		return
	}
	cpu.Parallel((n+chunkSize-1)/chunkSize, 1, func(first, last int) {
		for i := first; i < last; i++ {
			f(i*chunkSize, min(n, (i+1)*chunkSize))
		}
	})
}

// sumSquares returns the sum of the squares of x, accumulated in float64, where squares of float32 values cannot overflow.
func sumSquares(x []float32) float64 {
	if len(x) <= chunkSize {
		return sumSquaresOfChunk(x)
	}
	partial := make([]float64, (len(x)+chunkSize-1)/chunkSize)
	forChunks(len(x), func(lo, hi int) { partial[lo/chunkSize] = sumSquaresOfChunk(x[lo:hi]) })
	var sum float64
	for _, s := range partial {
		sum += s
	}
	return sum
}

// sumSquaresOfChunk keeps four sums, so that an addition need not wait for the one before.
func sumSquaresOfChunk(x []float32) float64 {
	var s [4]float64
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		s[0] += float64(a * a)
		s[1] += float64(b * b)
		s[2] += float64(c * c)
		s[3] += float64(d * d)
	}
	for i, v := range x {
		s[i] += float64(float64(v) * float64(v))
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// scale multiplies x by c.
func scale(x []float32, c float32) {
	forChunks(len(x), func(lo, hi int) { cpu.Scale(x[lo:hi], c) })
}
