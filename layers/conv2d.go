package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Conv2d is a convolution of images (n, in, height, width).
type Conv2d struct {
	// Name is the module path in the model, e.g. "down_blocks.0.resnets.0.conv1".
	Name string
	// Weight is (out, in, kh, kw).
	Weight *graph.Param
	// Bias is nil where the layer has none.
	Bias *graph.Param
	// Stride is the distance between patches; 0 counts as 1.
	Stride int
	Pad    kernel.Padding
}

// Apply adds the layer.
func (l *Conv2d) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	in := []*graph.Node{x, g.Param(l.Weight)}
	if l.Bias != nil {
		in = append(in, g.Param(l.Bias))
	}
	return g.Apply(kernel.Conv2d{Bias: l.Bias != nil, Stride: l.Stride, Pad: l.Pad}, in...)
}
