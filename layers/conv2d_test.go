package layers

import (
	"testing"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// A convolution whose kernel covers the whole image is a linear layer of its pixels.
func TestConv2dOfWholeImagesEqualsLinear(t *testing.T) {
	l := linear("l", 3*2*4, 5)
	for _, bias := range []bool{true, false} {
		c := &Conv2d{Name: "c", Weight: graph.NewParam("c.weight", 5, 3, 2, 4)}
		copy(c.Weight.Value.F32, l.Weight.Value.F32)
		if c.Bias = l.Bias; !bias {
			c.Bias, l.Bias = nil, nil
		}
		x := param("x", 7, 3, 2, 4).Value
		got := eval(t, func(g *graph.Graph) *graph.Node { return c.Apply(g, g.Leaf("x", x)) })
		near(t, got, eval(t, func(g *graph.Graph) *graph.Node { return l.Apply(g, g.Leaf("x", kernel.FromF32(x.F32, 7, 24))) }))
	}
}

func TestConv2dHandsItsGeometryOver(t *testing.T) {
	c := &Conv2d{Name: "c", Weight: graph.NewParam("c.weight", 1, 1, 1, 1), Stride: 2, Pad: kernel.Padding{Top: 1, Right: 2}}
	c.Weight.Value.F32[0] = 1
	x := kernel.FromF32([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 1, 3, 3)
	// Rows 0 and 2 of the padded image, of which row 0 is padding; columns 0, 2 and 4, of which 4 is padding.
	near(t, eval(t, func(g *graph.Graph) *graph.Node { return c.Apply(g, g.Leaf("x", x)) }), []float32{0, 0, 0, 4, 6, 0})
}
