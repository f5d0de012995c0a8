package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Embedding looks up a row of a table for every id, y = Scale·E[id].
//
// Inputs: ids of any shape, I32 in [0, V), and E(V,d). Output: [ids..., d]. An id out of range panics with its place; the host makes
// that an error.
type Embedding struct {
	Scale float32
}

// String returns "embedding".
func (Embedding) String() string { return "embedding" }

// Plan checks the inputs ids and E.
func (k Embedding) Plan(in []Spec, need []bool) (Plan, error) {
	if err := checkOperands("embedding", in, need, operand{"ids", integer}, operand{"E", stored}); err != nil {
		return Plan{}, err
	}
	table := in[1].Shape
	if len(table) != 2 {
		return Plan{}, fmt.Errorf("embedding: E has shape %v; expected (V,d)", table)
	}
	p := Plan{Out: append(append(Shape(nil), in[0].Shape...), table[1])}
	if need[1] {
		p.ReadsX = []int{0}
	}
	return p, nil
}

// Forward gathers the rows.
func (k Embedding) Forward(c *Call) {
	checkIDs("embedding", c.X[0].I32, c.X[1].Shape[0])
	gather(c.Y, k.Scale, c.X[0].I32, c.X[1])
}

// checkIDs panics if an id has no row in a table of n rows.
func checkIDs(kernel string, ids []int32, n int) {
	for i, id := range ids {
		if id < 0 || int(id) >= n {
			panic(fmt.Sprintf("%s: id %d of token %d; the table holds ids 0 to %d", kernel, id, i, n-1))
		}
	}
}

// gatherArgs are the operands of gatherLoop.
type gatherArgs struct {
	y     []float32
	scale float32
	ids   []int32
	table cpu.Weights
}

// gather computes y[t] = scale·table[ids[t]].
func gather(y *Tensor, scale float32, ids []int32, table *Tensor) {
	gatherLoop.Run(len(ids), rowGrain(table.Shape[1]), gatherArgs{y.F32, scale, ids, table.Weights()})
}

// gatherLoop runs over ids.
var gatherLoop = cpu.NewLoop(func(a *gatherArgs, lo, hi int) {
	d := a.table.Cols
	for t := lo; t < hi; t++ {
		row := a.y[t*d : (t+1)*d]
		cpu.Widen(row, a.table, int(a.ids[t])*d)
		if a.scale != 1 {
			cpu.Scale(row, a.scale)
		}
	}
})

// Backward adds Scale·dy of every token to the row of its id. Each thread owns some columns and walks through all tokens, so that
// every element is summed in the order of the tokens.
func (k Embedding) Backward(c *Call) {
	if de := c.DX[1]; de != nil {
		d := de.Shape[1]
		clearLoop.Run(len(de.F32), 4*elementGrain, rowsArgs{dst: de.F32})
		scatterLoop.Run((d+scatterColumns-1)/scatterColumns, 1, scatterArgs{de.F32, d, k.Scale, c.X[0].I32, c.DY.F32})
	}
}

var clearLoop = cpu.NewLoop(func(a *rowsArgs, lo, hi int) { clear(a.dst[lo:hi]) })

// scatterArgs are the operands of scatterLoop.
type scatterArgs struct {
	table []float32
	d     int
	scale float32
	ids   []int32
	dy    []float32
}

// scatterColumns is how many columns of a table are handled together: whole cache lines, few of them in flight.
const scatterColumns = 64

// scatterLoop runs over blocks of columns.
var scatterLoop = cpu.NewLoop(func(a *scatterArgs, lo, hi int) {
	first, last := lo*scatterColumns, min(hi*scatterColumns, a.d)
	for t, id := range a.ids {
		row := int(id) * a.d
		cpu.Axpy(a.scale, a.dy[t*a.d+first:t*a.d+last], a.table[row+first:row+last])
	}
})
