package layers

import (
	"testing"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Without pixels, a group of channels is a row of LayerNorm.
func TestGroupNormOfSinglePixelsEqualsLayerNormOfGroups(t *testing.T) {
	const images, groups, each = 3, 2, 4
	l := &LayerNorm{Name: "l", Weight: param("l.weight", each), Bias: param("l.bias", each), Eps: 1e-2}
	n := &GroupNorm{Name: "n", Weight: graph.NewParam("n.weight", groups*each), Bias: graph.NewParam("n.bias", groups*each), Groups: groups, Eps: l.Eps}
	for c := range groups * each {
		n.Weight.Value.F32[c], n.Bias.Value.F32[c] = l.Weight.Value.F32[c%each], l.Bias.Value.F32[c%each]
	}
	x := param("x", images, groups*each).Value
	rows := kernel.FromF32(x.F32, images*groups, each)
	got := eval(t, func(g *graph.Graph) *graph.Node { return n.Apply(g, g.Leaf("x", x)) })
	near(t, got, eval(t, func(g *graph.Graph) *graph.Node { return l.Apply(g, g.Leaf("x", rows)) }))
}
