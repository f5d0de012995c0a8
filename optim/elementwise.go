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

// sumSquares returns the sum of the squares of x, accumulated in float64.
func sumSquares(x []float32) float64 {
	partial := make([]float64, (len(x)+chunkSize-1)/chunkSize)
	forChunks(len(x), func(lo, hi int) {
		var s float64
		for _, v := range x[lo:hi] {
			s += float64(v) * float64(v)
		}
		partial[lo/chunkSize] = s
	})
	var sum float64
	for _, s := range partial {
		sum += s
	}
	return sum
}

// scale multiplies x by c.
func scale(x []float32, c float32) {
	forChunks(len(x), func(lo, hi int) {
		for i, v := range x[lo:hi] {
			x[lo+i] = c * v
		}
	})
}
