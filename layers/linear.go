package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Linear is y = x·Wᵀ + b over the last axis.
type Linear struct {
	// Name is the module path in the model, e.g. "model.layers.0.self_attn.q_proj"; adapters select layers by it.
	Name    string
	In, Out int
	// Weight is (out, in), or (in, out) when InOut is set (the Conv1D of GPT-2).
	Weight *graph.Param
	// Bias is nil where the layer has none.
	Bias  *graph.Param
	InOut bool
	// Adapter, when set, takes over Apply.
	Adapter LinearAdapter
}

// LinearAdapter adds an adapted linear layer to a graph.
type LinearAdapter interface {
	ApplyLinear(g *graph.Graph, l *Linear, x *graph.Node) *graph.Node
}

// Apply adds the layer, with its adapter if it has one.
func (l *Linear) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	if l.Adapter != nil {
		return l.Adapter.ApplyLinear(g, l, x)
	}
	return l.ApplyBase(g, x)
}

// ApplyBase adds the layer without its adapter.
func (l *Linear) ApplyBase(g *graph.Graph, x *graph.Node) *graph.Node {
	return g.Apply(kernel.Linear{Bias: l.Bias != nil, InOut: l.InOut}, l.Inputs(g, x)...)
}

// Inputs returns x, the weight and, if there is one, the bias: the first inputs of every kernel that computes a linear layer.
func (l *Linear) Inputs(g *graph.Graph, x *graph.Node) []*graph.Node {
	in := []*graph.Node{x, g.Param(l.Weight)}
	if l.Bias != nil {
		in = append(in, g.Param(l.Bias))
	}
	return in
}
