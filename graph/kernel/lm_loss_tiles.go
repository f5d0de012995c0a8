package kernel

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// lmTiles are the operands of the loops over tiles of logits of one block of the vocabulary.
type lmTiles struct {
	lmHead
	v0, v1        int         // entries of the vocabulary
	logits, input cpu.PackedB // their part of W as the right operand of h·Wᵀ and of p·W
	dh            cpu.Mat     // Rows is 0 if it is not wanted
	dy            float32
	saved         []float32 // largest logit of each token and the reciprocal of its sum
	grads         cpu.Mat   // of the logits
}

// lmStats is what is known of a token's logits so far.
type lmStats struct {
	peak, target float32 // the largest, and that of the target
	sum          float64 // of exp(logit - peak)
}

// lmTile holds a tile of logits. Its rows do not lie a multiple of 4 KiB apart, which would let them compete for places in the cache.
type lmTile [lossTokens * lmTileStride]float32

const lmTileStride = lossEntries + 16

var idleLMTiles free[lmTile]

// lmForward runs over tiles of tokens. It brings the statistics up to date and adds to dh.
var lmForward = cpu.NewLoop(func(a *lmTiles, lo, hi int) {
	buf := idleLMTiles.get()
	defer idleLMTiles.put(buf)
	for r0 := lo * lossTokens; r0 < min(hi*lossTokens, len(a.tokens)); r0 += lossTokens {
		r1 := min(r0+lossTokens, len(a.tokens))
		x := cpu.Mat{Data: buf[:], Rows: r1 - r0, Cols: a.v1 - a.v0, RS: lmTileStride, CS: 1}
		a.compute(x, r0)
		for r := r0; r < r1; r++ {
			a.accumulate(x.Data[(r-r0)*x.RS:][:x.Cols], r)
		}
		if a.dh.Rows > 0 {
			beta := min(1, float32(a.v0)) // the first block of the vocabulary overwrites
			cpu.GemmPacked(1, x, &a.input, beta, a.dh.Block(r0, 0, r1-r0, a.dh.Cols))
		}
	}
})

// compute sets x to the logits of the tokens from r0 on.
func (a *lmTiles) compute(x cpu.Mat, r0 int) {
	h := a.h.Block(r0, 0, x.Rows, a.h.Cols)
	if a.Bias {
		cpu.GemmPackedBias(1, h, &a.logits, a.b[a.v0:a.v1], x)
		return
	}
	cpu.GemmPacked(1, h, &a.logits, 0, x)
}

// accumulate turns the logits x of token r into exponentials relative to the largest logit so far and adds them to the sum. What was
// added to sum and dh before shrinks with a new maximum.
func (a *lmTiles) accumulate(x []float32, r int) {
	s := &a.stats[r]
	if t := int(a.targets[r]) - a.v0; t >= 0 && t < len(x) {
		s.target = x[t]
	}
	if top := max(s.peak, cpu.Max(x)); top != s.peak {
		shrink := math.Exp(float64(s.peak) - float64(top))
		s.peak, s.sum = top, s.sum*shrink
		if a.v0 > 0 && a.dh.Rows > 0 {
			cpu.Scale(a.dh.Data[r*a.dh.RS:][:a.dh.Cols], float32(shrink))
		}
	}
	s.sum += float64(cpu.ExpSub(x, s.peak))
}

// lmFinish runs over tokens. It turns the sums of dh into means and subtracts the rows of the targets.
var lmFinish = cpu.NewLoop(func(a *lmTiles, lo, hi int) {
	for r := lo; r < hi; r++ {
		row := a.dh.Data[r*a.dh.RS:][:a.dh.Cols]
		cpu.Scale(row, float32(1/a.stats[r].sum))
		a.subtractEntry(row, int(a.targets[r]))
	}
})

// subtractEntry subtracts the row of W that belongs to an entry of the vocabulary.
func (a *lmTiles) subtractEntry(row []float32, entry int) {
	if a.w.DType == F32 && !a.InOut {
		cpu.Axpy(-1, a.w.F32[entry*len(row):][:len(row)], row)
		return
	}
	w, first, step := a.w.Weights(), entry*len(row), 1
	if a.InOut {
		first, step = entry, a.v
	}
	var v [1]float32
	for i := range row {
		cpu.Widen(v[:], w, first+i*step)
		row[i] -= v[0]
	}
}

// lmBackward runs over tiles of tokens. It computes the gradients of the logits.
var lmBackward = cpu.NewLoop(func(a *lmTiles, lo, hi int) {
	for r0 := lo * lossTokens; r0 < min(hi*lossTokens, len(a.tokens)); r0 += lossTokens {
		x := a.grads.Block(r0, 0, min(lossTokens, len(a.tokens)-r0), a.grads.Cols)
		a.compute(x, r0)
		for i := range x.Rows {
			row, r := x.Data[i*x.RS:][:x.Cols], r0+i
			cpu.ExpSub(row, a.saved[2*r])
			cpu.Scale(row, a.dy*a.saved[2*r+1])
			if t := int(a.targets[r]) - a.v0; t >= 0 && t < len(row) {
				row[t] -= a.dy
			}
		}
	}
})
