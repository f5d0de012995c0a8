package kernel

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// LayerNorm gives each row mean 0 and variance 1, then scales and shifts it (Ba, Kiros and Hinton, "Layer Normalization", 2016):
//
//	y = (x - mean(x)) / sqrt(var(x) + Eps) · w + b
//
// with the biased variance. Inputs: x[..., n], w[n], b[n]. The output has the shape of x.
type LayerNorm struct {
	Eps float32
}

// String returns "layer norm".
func (LayerNorm) String() string { return "layer norm" }

// Plan checks the inputs x, w and b.
func (k LayerNorm) Plan(in []Spec, need []bool) (Plan, error) {
	err := checkOperands("layer norm", in, need, operand{"x", activation}, operand{"w", stored}, operand{"b", stored})
	if err != nil {
		return Plan{}, err
	}
	x, w, b := in[0].Shape, in[1].Shape, in[2].Shape
	if len(x) == 0 || x.Last() == 0 || len(w) != 1 || w[0] != x.Last() || !b.Equal(w) {
		return Plan{}, fmt.Errorf("layer norm: x has shape %v, w %v and b %v; expected vectors as long as the rows of x", x, w, b)
	}
	n, rows := x.Last(), x.Rows()
	p := Plan{Out: x, ForwardScratch: vecScratch(in[1]) + vecScratch(in[2]), BackwardScratch: vecScratch(in[1]), YOverX: []int{0}}
	if anyOf(need) {
		p.Saved = 2 * rows
		p.ReadsX = []int{0, 1}
		p.DXOverDY = []int{0}
	}
	for _, wanted := range need[1:] {
		if wanted {
			p.BackwardScratch += chunks(rows) * n
		}
	}
	return p, nil
}

// layerArgs are the operands of both loops of LayerNorm.
type layerArgs struct {
	LayerNorm
	x, w, b, y     []float32
	stats          []float32 // mean and reciprocal standard deviation of each row, nil when nobody wants them
	dy, dx, dw, db []float32 // dw, db: partial sums, one for each chunk of rows
}

// Forward normalises x and saves mean and reciprocal standard deviation of each row.
func (k LayerNorm) Forward(c *Call) {
	w, rest := vec(c.X[1], c.Scratch)
	b, _ := vec(c.X[2], rest)
	a := layerArgs{LayerNorm: k, x: c.X[0].F32, w: w, b: b, y: c.Y.F32, stats: c.Saved}
	layerForward.Run(chunks(c.Y.Shape.Rows()), chunkGrain(len(w)), a)
}

// layerForward runs over chunks of rows.
var layerForward = cpu.NewLoop(func(a *layerArgs, lo, hi int) {
	n := len(a.w)
	for r := lo * rowChunk; r < min(hi*rowChunk, len(a.x)/n); r++ {
		x := a.x[r*n:][:n]
		y := a.y[r*n:][:len(x)]
		mean := float32(sum64(x) / float64(n))
		inv := float32(1 / math.Sqrt(cpu.Deviations(x, mean)/float64(n)+float64(a.Eps)))
		if len(a.stats) > 0 {
			a.stats[2*r], a.stats[2*r+1] = mean, inv
		}
		cpu.Normalize(y, x, mean, inv, 0)
		cpu.Mul(y, y, a.w)
		cpu.Add(y, y, a.b)
	}
})

// Backward computes, with g = dy·w and x̂ the normalised x, dx = (g - mean(g) - x̂·mean(g·x̂))/std, and over the rows dw = Σ dy·x̂ and
// db = Σ dy.
func (k LayerNorm) Backward(c *Call) {
	w, parts := vec(c.X[1], c.Scratch)
	n, count := len(w), chunks(c.DY.Shape.Rows())
	a := layerArgs{LayerNorm: k, x: c.X[0].F32, w: w, stats: c.Saved, dy: c.DY.F32}
	if c.DX[0] != nil {
		a.dx = c.DX[0].F32
	}
	if c.DX[1] != nil {
		a.dw, parts = parts[:count*n], parts[count*n:]
	}
	if c.DX[2] != nil {
		a.db = parts[:count*n]
	}
	layerBackward.Run(count, chunkGrain(n), a)
	if c.DX[1] != nil {
		sumParts(c.DX[1].F32, a.dw, count)
	}
	if c.DX[2] != nil {
		sumParts(c.DX[2].F32, a.db, count)
	}
}

// layerBackward runs over chunks of rows.
var layerBackward = cpu.NewLoop(func(a *layerArgs, lo, hi int) {
	n := len(a.w)
	for chunk := lo; chunk < hi; chunk++ {
		dw, db := part(a.dw, chunk, n), part(a.db, chunk, n)
		for r := chunk * rowChunk; r < min((chunk+1)*rowChunk, len(a.x)/n); r++ {
			x, dy := a.x[r*n:][:n], a.dy[r*n:][:n]
			mean, inv := a.stats[2*r], a.stats[2*r+1]
			if dw != nil {
				cpu.AddNormalized(dw, dy, x, mean, inv)
			}
			if db != nil {
				cpu.Add(db, db, dy)
			}
			if a.dx != nil {
				a.row(a.dx[r*n:][:n], dy, x, mean, inv)
			}
		}
	}
})

// row computes the gradient of one row; dx may be dy.
func (a *layerArgs) row(dx, dy, x []float32, mean, inv float32) {
	shift, pull := cpu.WeightedNormSums(dy, a.w, x, mean)
	n, i := float64(len(x)), float64(inv)
	cpu.WeightedNormGrad(dx, dy, a.w, x, inv, mean, float32(-pull/n*i*i*i), float32(-shift/n*i))
}
