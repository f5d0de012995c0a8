package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// This file holds what the kernels around a linear map x·Wᵀ + b share.

// linearShape checks that w is a matrix that takes the rows of x, (out,in) or, with inOut, (in,out), and returns both extents.
func linearShape(kernel string, x, w Shape, inOut bool) (in, out int, err error) {
	if len(w) != 2 || len(x) == 0 {
		return 0, 0, fmt.Errorf("%s: x has shape %v and w %v; expected rows and a matrix", kernel, x, w)
	}
	out, in = w[0], w[1]
	layout := "(out,in)"
	if inOut {
		in, out = out, in
		layout = "(in,out)"
	}
	if in != x.Last() {
		return 0, 0, fmt.Errorf("%s: x has rows of %d and w shape %v; expected %s with in = %d", kernel, x.Last(), w, layout, x.Last())
	}
	return in, out, nil
}

// checkShape reports an input that has another shape than expected.
func checkShape(kernel, name string, found Shape, expected ...int) error {
	if !found.Equal(expected) {
		return fmt.Errorf("%s: %s has shape %v; expected %v", kernel, name, found, Shape(expected))
	}
	return nil
}

// withLast returns the shape with its innermost extent replaced.
func (s Shape) withLast(n int) Shape {
	out := append(Shape(nil), s...)
	out[len(out)-1] = n
	return out
}

// take cuts n values off the working memory.
func take(mem *[]float32, n int) []float32 {
	head := (*mem)[:n:n]
	*mem = (*mem)[n:]
	return head
}

// weightGrad computes dw = alpha·dyᵀ·x + beta·dw for a matrix stored (out,in), its transpose when stored (in,out).
func weightGrad(alpha float32, dy, x cpu.Mat, inOut bool, beta float32, dw cpu.Mat) {
	if inOut {
		dy, x = x, dy
	}
	cpu.Gemm(alpha, dy.T(), x, beta, dw)
}

// elementGrain is how many elements make a worthwhile piece of an elementwise loop.
const elementGrain = 16384

// rowGrain returns how many rows of width n make a worthwhile piece of work.
func rowGrain(n int) int { return max(1, elementGrain/max(n, 1)) }

// rowsArgs are the operands of loops over rows of equal width.
type rowsArgs struct {
	dst, src, vec []float32
}

// columnSumScratch returns how many floats columnSum wants.
func columnSumScratch(rows, n int) int { return chunks(rows) * n }

// columnSum adds up the rows of x into dst, the gradient of a bias: in float32 over short runs of rows, in float64 over these.
func columnSum(dst, x, scratch []float32) {
	n := len(dst)
	rows := len(x) / n
	parts := scratch[:chunks(rows)*n]
	columnSumLoop.Run(chunks(rows), chunkGrain(n), rowsArgs{dst: parts, src: x, vec: dst})
	sumParts(dst, parts, chunks(rows))
}

// columnSumLoop runs over chunks of rows; vec only tells the width.
var columnSumLoop = cpu.NewLoop(func(a *rowsArgs, lo, hi int) {
	n := len(a.vec)
	for chunk := lo; chunk < hi; chunk++ {
		sum := part(a.dst, chunk, n)
		for r := chunk * rowChunk; r < min((chunk+1)*rowChunk, len(a.src)/n); r++ {
			cpu.Add(sum, sum, a.src[r*n:(r+1)*n])
		}
	}
})

// scaleArgs are the operands of scaleLoop.
type scaleArgs struct {
	dst, src []float32
	alpha    float32
}

// scaleTo computes dst = alpha·src.
func scaleTo(dst []float32, alpha float32, src []float32) {
	scaleLoop.Run(len(dst), elementGrain, scaleArgs{dst, src, alpha})
}

var scaleLoop = cpu.NewLoop(func(a *scaleArgs, lo, hi int) {
	copy(a.dst[lo:hi], a.src[lo:hi])
	cpu.Scale(a.dst[lo:hi], a.alpha)
})
