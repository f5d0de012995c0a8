package kernel

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// RMSNorm divides each run of len(w) values by its root mean square and scales it (Zhang and Sennrich, "Root Mean Square Layer
// Normalization", 2019):
//
//	y = x / sqrt(mean(x²) + Eps) · (Offset + w)
//
// as LlamaRMSNorm does with Offset 0 and GemmaRMSNorm with Offset 1. Inputs: x[..., width] and w[n], where n divides width; n is the
// head width for the norms of queries and keys in Qwen 3. The output has the shape of x.
type RMSNorm struct {
	Eps, Offset float32
}

// String returns "rms norm".
func (RMSNorm) String() string { return "rms norm" }

// Plan checks the inputs x and w.
func (k RMSNorm) Plan(in []Spec, need []bool) (Plan, error) {
	if err := checkOperands("rms norm", in, need, operand{"x", activation}, operand{"w", stored}); err != nil {
		return Plan{}, err
	}
	x, n := in[0].Shape, in[1].Shape.Size()
	if len(x) == 0 || len(in[1].Shape) != 1 || n == 0 || x.Last()%n != 0 {
		return Plan{}, fmt.Errorf("rms norm: x has shape %v and w %v; expected w to be a vector that divides the rows of x", x, in[1].Shape)
	}
	rows, wide := x.Size()/n, vecScratch(in[1])
	p := Plan{Out: x, ForwardScratch: wide, BackwardScratch: wide, YOverX: []int{0}}
	if anyOf(need) {
		p.Saved = rows
		p.ReadsX = []int{0, 1}
		p.DXOverDY = []int{0}
	}
	if need[1] {
		p.BackwardScratch += chunks(rows) * n
	}
	return p, nil
}

// rmsArgs are the operands of both loops of RMSNorm.
type rmsArgs struct {
	RMSNorm
	x, w, y, inv []float32 // inv: reciprocal root mean square of each row, nil when nobody wants it
	dy, dx, dw   []float32 // dw: partial sums, one for each chunk of rows
}

// Forward normalises x and saves the reciprocal root mean square of each row.
func (k RMSNorm) Forward(c *Call) {
	w, _ := vec(c.X[1], c.Scratch)
	rmsForward.Run(chunks(len(c.Y.F32)/len(w)), chunkGrain(len(w)), rmsArgs{RMSNorm: k, x: c.X[0].F32, w: w, y: c.Y.F32, inv: c.Saved})
}

// rmsForward runs over chunks of rows.
var rmsForward = cpu.NewLoop(func(a *rmsArgs, lo, hi int) {
	n := len(a.w)
	for r := lo * rowChunk; r < min(hi*rowChunk, len(a.x)/n); r++ {
		x := a.x[r*n:][:n]
		y := a.y[r*n:][:len(x)]
		inv := float32(1 / math.Sqrt(dot64(x, x)/float64(n)+float64(a.Eps)))
		if len(a.inv) > 0 {
			a.inv[r] = inv
		}
		offset, w := a.Offset, a.w[:len(x)]
		for j, v := range x {
			y[j] = v * inv * (offset + w[j])
		}
	}
})

// Backward computes, with g = dy·(Offset+w) and x̂ = x/rms, dx = (g - x̂·mean(g·x̂))/rms and dw = Σ dy·x̂ over the rows.
func (k RMSNorm) Backward(c *Call) {
	w, parts := vec(c.X[1], c.Scratch)
	n := len(w)
	rows := c.X[0].Len() / n
	a := rmsArgs{RMSNorm: k, x: c.X[0].F32, w: w, inv: c.Saved, dy: c.DY.F32}
	if c.DX[0] != nil {
		a.dx = c.DX[0].F32
	}
	if c.DX[1] != nil {
		a.dw = parts[:chunks(rows)*n]
	}
	rmsBackward.Run(chunks(rows), chunkGrain(n), a)
	if c.DX[1] != nil {
		sumParts(c.DX[1].F32, a.dw, chunks(rows))
	}
}

// rmsBackward runs over chunks of rows.
var rmsBackward = cpu.NewLoop(func(a *rmsArgs, lo, hi int) {
	n := len(a.w)
	for chunk := lo; chunk < hi; chunk++ {
		dw := part(a.dw, chunk, n)
		for r := chunk * rowChunk; r < min((chunk+1)*rowChunk, len(a.x)/n); r++ {
			inv, x := a.inv[r], a.x[r*n:][:n]
			dy := a.dy[r*n:][:len(x)]
			if dw != nil {
				addScaled(dw, dy, x, 0, inv)
			}
			if a.dx != nil {
				a.row(a.dx[r*n:][:n], dy, x, inv)
			}
		}
	}
})

// row computes the gradient of one row; dx may be dy.
func (a *rmsArgs) row(dx, dy, x []float32, inv float32) {
	offset, w := a.Offset, a.w[:len(x)]
	dx, dy = dx[:len(x)], dy[:len(x)]
	for j, g := range dy {
		dx[j] = g * (offset + w[j])
	}
	i := float64(inv)
	pull := float32(dot64(dx, x) / float64(len(x)) * i * i * i)
	for j, v := range x {
		dx[j] = dx[j]*inv - v*pull
	}
}
