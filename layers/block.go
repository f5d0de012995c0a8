package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// Block is one layer of a pre-norm transformer decoder.
type Block struct {
	AttnNorm Norm
	Attn     *Attention
	MLPNorm  Norm
	MLP      FeedForward
	// Parallel computes x + attn(norm(x)) + mlp(norm'(x)) as GPT-NeoX does, instead of one after the other.
	Parallel bool
}

// Apply adds the block to x [B,T,hidden].
func (b *Block) Apply(g *graph.Graph, x *graph.Node, s *Sequence) *graph.Node {
	h := b.Attn.Apply(g, b.AttnNorm.Apply(g, x), s)
	if b.Parallel {
		return Residual(g, Residual(g, b.MLP.Apply(g, b.MLPNorm.Apply(g, x)), h), x)
	}
	x = Residual(g, x, h)
	return Residual(g, x, b.MLP.Apply(g, b.MLPNorm.Apply(g, x)))
}

// Residual adds x + y.
func Residual(g *graph.Graph, x, y *graph.Node) *graph.Node { return g.Apply(kernel.Add{}, x, y) }
