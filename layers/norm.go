package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Norm normalises the last axis of a node.
type Norm interface {
	Apply(g *graph.Graph, x *graph.Node) *graph.Node
}

// RMSNorm is y = x / sqrt(mean(x²) + Eps) · (Offset + w) over runs of len(w) values: whole rows, or single heads in the norms of queries
// and keys.
type RMSNorm struct {
	Name   string
	Weight *graph.Param
	// Offset is 0, or 1 where the family stores the weight's difference from one (Gemma).
	Eps, Offset float32
}

// Apply adds the norm.
func (n *RMSNorm) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	return g.Apply(kernel.RMSNorm{Eps: n.Eps, Offset: n.Offset}, x, g.Param(n.Weight))
}

// LayerNorm is y = (x - mean(x)) / sqrt(var(x) + Eps) · w + b over the last axis.
type LayerNorm struct {
	Name         string
	Weight, Bias *graph.Param
	Eps          float32
}

// Apply adds the norm.
func (n *LayerNorm) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	return g.Apply(kernel.LayerNorm{Eps: n.Eps}, x, g.Param(n.Weight), g.Param(n.Bias))
}

// GroupNorm is y = (x - mean(x)) / sqrt(var(x) + Eps) · w + b over groups of channels of images (n, channels, ...), with w and b for each
// channel.
type GroupNorm struct {
	// Name is the module path in the model, e.g. "down_blocks.0.resnets.0.norm1".
	Name         string
	Weight, Bias *graph.Param
	// Groups divides the channels.
	Groups int
	Eps    float32
}

// Apply adds the norm.
func (n *GroupNorm) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	return g.Apply(kernel.GroupNorm{Groups: n.Groups, Eps: n.Eps}, x, g.Param(n.Weight), g.Param(n.Bias))
}
