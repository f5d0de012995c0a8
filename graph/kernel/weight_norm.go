package kernel

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// normScratch returns how many floats weightNorms wants.
func normScratch(w Shape, rank int, inOut bool) int {
	n := rank*outputs(w, inOut) + rank*rank
	if inOut {
		n += columnSumScratch(w[0], w[1])
	}
	return n
}

// outputs returns how many features a weight of this shape computes.
func outputs(w Shape, inOut bool) int {
	if inOut {
		return w[1]
	}
	return w[0]
}

// weightNorms computes the norm of each output feature's weights in W + s·B·A without forming that matrix:
//
//	‖w + s·A'b‖² = ‖w‖² + b·(2s·A·w + s²·A·A'·b)
//
// for a row w of W and b of B. The products cost 2·rank·in·out operations, and ‖w‖² one pass over W.
func weightNorms(norm []float32, w, a, b *Tensor, s float32, inOut bool, scratch []float32) {
	out, rank := len(norm), b.Shape[1]
	cross := cpu.Dense(take(&scratch, rank*out), rank, out)
	gram := cpu.Dense(take(&scratch, rank*rank), rank, rank)
	mulWeight(2*s, a.Mat(), w, !inOut, 0, cross)
	cpu.Gemm(s*s, a.Mat(), a.Mat().T(), 0, gram)
	cpu.Gemm(1, gram, b.Mat().T(), 1, cross)
	args := normArgs{norm: norm, w: w.Weights(), cross: cross, b: b.F32}
	if inOut {
		args.parts = scratch[:columnSumScratch(w.Shape[0], out)]
		squareLoop.Run(chunks(w.Shape[0]), chunkGrain(out), args)
		sumParts(norm, args.parts, chunks(w.Shape[0]))
	}
	normLoop.Run(out, rowGrain(w.Len()/out), args)
}

// normArgs are the operands of normLoop and squareLoop.
type normArgs struct {
	norm  []float32 // with parts, the squared norms of W at first
	w     cpu.Weights
	parts []float32 // sums of squares over chunks of rows of W(in,out); nil for W(out,in)
	cross cpu.Mat   // (rank,out)
	b     []float32
}

// normBlock is how many weights are widened at once.
const normBlock = reduceBlock

// normBlocks holds the widened weights of a worker.
var normBlocks free[[normBlock]float32]

// normLoop runs over output features.
var normLoop = cpu.NewLoop(func(a *normArgs, lo, hi int) {
	block := normBlocks.get()
	defer normBlocks.put(block)
	rank := a.cross.Rows
	for o := lo; o < hi; o++ {
		square := float64(a.norm[o])
		if a.parts == nil {
			square = 0
			for at := 0; at < a.w.Cols; at += normBlock {
				row := block[:min(normBlock, a.w.Cols-at)]
				cpu.Widen(row, a.w, o*a.w.Cols+at)
				square += float64(cpu.Dot(row, row))
			}
		}
		for j, b := range a.b[o*rank : (o+1)*rank] {
			square += float64(b) * float64(a.cross.Data[j*a.cross.Cols+o])
		}
		a.norm[o] = float32(math.Sqrt(max(square, 0)))
	}
})

// squareLoop runs over chunks of rows of W(in,out).
var squareLoop = cpu.NewLoop(func(a *normArgs, lo, hi int) {
	block := normBlocks.get()
	defer normBlocks.put(block)
	n := a.w.Cols
	for chunk := lo; chunk < hi; chunk++ {
		sum := part(a.parts, chunk, n)
		for r := chunk * rowChunk; r < min((chunk+1)*rowChunk, a.w.Rows); r++ {
			for at := 0; at < n; at += normBlock {
				row := block[:min(normBlock, n-at)]
				cpu.Widen(row, a.w, r*n+at)
				for j, v := range row {
					sum[at+j] += v * v
				}
			}
		}
	}
})
