package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Dropout zeroes values with probability P in training graphs. Its random numbers are a function of (Rng, site, element), so
// that a step can be replayed and recomputed.
type Dropout struct {
	P float32
	// Rng is shared by all layers of a run: I32 {seed low, seed high, step, micro-batch}.
	Rng *kernel.Tensor
	// Site tells layers apart: an I32 tensor of one element, named Name in the graph.
	Site *kernel.Tensor
	Name string
}

// Apply adds the dropout; it returns x itself in an evaluation graph or when P is 0.
func (d *Dropout) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	if d == nil || d.P == 0 || !g.Training() {
		return x
	}
	return g.Apply(kernel.Dropout{P: d.P}, x, g.Leaf("dropout.rng", d.Rng), g.Leaf(d.Name, d.Site))
}
