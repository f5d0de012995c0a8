package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Embedding looks up a row of its weight for every id.
type Embedding struct {
	Name     string
	Num, Dim int          // rows and columns of the weight
	Weight   *graph.Param // (num, dim)
	Scale    float32      // factor on the rows, 1 unless the family scales them (Gemma: √dim)
	Adapter  EmbeddingAdapter
}

// EmbeddingAdapter adds an adapted embedding to a graph.
type EmbeddingAdapter interface {
	ApplyEmbedding(g *graph.Graph, e *Embedding, ids *graph.Node) *graph.Node
}

// Apply adds the lookup of ids (any shape, I32), with its adapter if it has one.
func (e *Embedding) Apply(g *graph.Graph, ids *graph.Node) *graph.Node {
	if e.Adapter != nil {
		return e.Adapter.ApplyEmbedding(g, e, ids)
	}
	return g.Apply(kernel.Embedding{Scale: e.Scale}, ids, g.Param(e.Weight))
}
