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
	rows, gain := x.Size()/n, vecScratch(in[1])
	if k.Offset != 0 {
		gain = n
	}
	p := Plan{Out: x, ForwardScratch: gain, BackwardScratch: gain, YOverX: []int{0}}
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

// gain returns Offset + w and the scratch left over.
func (k RMSNorm) gain(c *Call) (gain, rest []float32) {
	w, rest := vec(c.X[1], c.Scratch)
	if k.Offset == 0 {
		return w, rest
	}
	gain, rest = c.Scratch[:len(w)], c.Scratch[len(w):]
	cpu.Normalize(gain, w, 0, 1, k.Offset)
	return gain, rest
}

// rmsArgs are the operands of both loops of RMSNorm.
type rmsArgs struct {
	eps             float32
	x, gain, y, inv []float32 // inv: reciprocal root mean square of each row, nil when nobody wants it
	dy, dx, dw      []float32 // dw: partial sums, one for each chunk of rows
}

// Forward normalises x and saves the reciprocal root mean square of each row.
func (k RMSNorm) Forward(c *Call) {
	gain, _ := k.gain(c)
	n := len(gain)
	rmsForward.Run(chunks(len(c.Y.F32)/n), chunkGrain(n), rmsArgs{eps: k.Eps, x: c.X[0].F32, gain: gain, y: c.Y.F32, inv: c.Saved})
}

// rmsForward runs over chunks of rows.
var rmsForward = cpu.NewLoop(func(a *rmsArgs, lo, hi int) {
	n := len(a.gain)
	for r := lo * rowChunk; r < min(hi*rowChunk, len(a.x)/n); r++ {
		x := a.x[r*n:][:n]
		inv := float32(1 / math.Sqrt(cpu.Deviations(x, 0)/float64(n)+float64(a.eps)))
		if len(a.inv) > 0 {
			a.inv[r] = inv
		}
		cpu.ScaledProduct(a.y[r*n:][:n], x, a.gain, inv)
	}
})

// Backward computes, with g = dy·(Offset+w) and x̂ = x/rms, dx = (g - x̂·mean(g·x̂))/rms and dw = Σ dy·x̂ over the rows.
func (k RMSNorm) Backward(c *Call) {
	gain, parts := k.gain(c)
	n := len(gain)
	rows := c.X[0].Len() / n
	a := rmsArgs{x: c.X[0].F32, gain: gain, inv: c.Saved, dy: c.DY.F32}
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
	n := len(a.gain)
	for chunk := lo; chunk < hi; chunk++ {
		dw := part(a.dw, chunk, n)
		for r := chunk * rowChunk; r < min((chunk+1)*rowChunk, len(a.x)/n); r++ {
			inv, x, dy := a.inv[r], a.x[r*n:][:n], a.dy[r*n:][:n]
			if dw != nil {
				cpu.AddNormalized(dw, dy, x, 0, inv)
			}
			if a.dx != nil {
				_, pull := cpu.WeightedNormSums(dy, a.gain, x, 0)
				i := float64(inv)
				cpu.WeightedNormGrad(a.dx[r*n:][:n], dy, a.gain, x, inv, 0, float32(-pull/float64(n)*i*i*i), 0)
			}
		}
	}
})
