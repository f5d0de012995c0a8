package optim

import "github.com/geotune/geotune/graph/kernel/cpu"

// chunkSize is the number of elements that one task works on. It is fixed, so that sums have the same order for any GOMAXPROCS.
const chunkSize = 1 << 14

// chunks returns how many chunks n elements make.
func chunks(n int) int { return (n + chunkSize - 1) / chunkSize }

// partialSums is how many chunks sumSquares adds up at a time, those of 8 Mi elements.
const partialSums = 512

// squaresArgs are the operands of squaresLoop.
type squaresArgs struct {
	x       []float32
	partial *[partialSums]float64
}

// squaresLoop runs over chunks.
var squaresLoop = cpu.NewLoop(func(a *squaresArgs, lo, hi int) {
	for i := lo; i < hi; i++ {
		a.partial[i] = cpu.SumSquares(a.x[i*chunkSize : min(len(a.x), (i+1)*chunkSize)])
	}
})

// sumSquares returns the sum of the squares of x, accumulated in float64, where squares of float32 values cannot overflow.
func (o *Optimizer) sumSquares(x []float32) float64 {
	var sum float64
	for len(x) > 0 {
		n := min(len(x), partialSums*chunkSize)
		squaresLoop.Run(chunks(n), 1, squaresArgs{x[:n], &o.partial})
		for _, s := range o.partial[:chunks(n)] {
			sum += s
		}
		x = x[n:]
	}
	return sum
}

// scaleArgs are the operands of scaleLoop.
type scaleArgs struct {
	x []float32
	c float32
}

// scaleLoop runs over elements.
var scaleLoop = cpu.NewLoop(func(a *scaleArgs, lo, hi int) { cpu.Scale(a.x[lo:hi], a.c) })

// scale multiplies x by c.
func scale(x []float32, c float32) { scaleLoop.Run(len(x), chunkSize, scaleArgs{x, c}) }
