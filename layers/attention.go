package layers

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// The layouts of a fused projection, as kernel.Attention names them.
const (
	FusedQKV  = "qkv"  // [all query heads | all key heads | all value heads]
	FusedNeoX = "neox" // [query, key, value] of one head after the other
)

// Sequence describes the tokens that the attention layers of one forward pass work on. Its tensors become leaves that all layers share.
type Sequence struct {
	// Positions are the tokens' places, I32 [B,T]; Segments, I32 [B,T], are 0 for padding, and tokens of different segments do not see
	// each other.
	Positions, Segments *kernel.Tensor
	// Cos and Sin are the rotary tables [positions, rotated dimensions / 2]; nil where the model learns its positions.
	Cos, Sin *kernel.Tensor
	// Cache, when set, holds the keys and values of earlier tokens: the pass continues them and cannot be differentiated.
	Cache *Cache
}

// Cache keeps the keys and values of a batch during generation.
type Cache struct {
	// Start is the number of tokens already in the cache, I32 [1].
	Start *kernel.Tensor
	// K and V have one tensor [B, length, KVHeads·Dim] for each layer.
	K, V []*kernel.Tensor
}

// Attention is causal multi-head attention, with fewer key than query heads where the family groups them (Ainslie et al., "GQA", 2023).
type Attention struct {
	Name string // e.g. "model.layers.0.self_attn"; names the layer's cache in the graph
	// Q, K, V project separately; otherwise QKV projects all at once in the layout Fused.
	Q, K, V *Linear
	QKV     *Linear
	Fused   string
	Out     *Linear
	// QNorm and KNorm normalise each head of the queries and keys (Qwen 3); nil elsewhere.
	QNorm, KNorm *RMSNorm

	Heads, KVHeads, Dim int     // heads of queries, heads of keys and values, width of a head
	Rot                 int     // leading dimensions of a head that rotate; 0 without rotary embedding
	Window              int     // how many tokens back a query sees, itself included; 0: all
	Scale               float32 // factor on the scores
	Layer               int     // index into the cache
}

// Apply adds projections, rotary embedding, attention and output projection for x [B,T,hidden].
func (a *Attention) Apply(g *graph.Graph, x *graph.Node, s *Sequence) *graph.Node {
	return a.Out.Apply(g, a.attend(g, s, a.project(g, x, s)...))
}

// project returns the rotated queries, keys and values, or all of them in one node.
func (a *Attention) project(g *graph.Graph, x *graph.Node, s *Sequence) []*graph.Node {
	if a.QKV != nil {
		return []*graph.Node{a.rotate(g, a.QKV.Apply(g, x), s, a.fusedSpans())}
	}
	q, k, v := a.Q.Apply(g, x), a.K.Apply(g, x), a.V.Apply(g, x)
	if a.QNorm != nil {
		q, k = a.QNorm.Apply(g, q), a.KNorm.Apply(g, k)
	}
	q = a.rotate(g, q, s, [2]kernel.HeadSpan{{Stride: a.Dim, Count: a.Heads}})
	k = a.rotate(g, k, s, [2]kernel.HeadSpan{{Stride: a.Dim, Count: a.KVHeads}})
	return []*graph.Node{q, k, v}
}

// fusedSpans returns where the heads of queries and keys lie in a fused row.
func (a *Attention) fusedSpans() [2]kernel.HeadSpan {
	if a.Fused == FusedNeoX {
		return [2]kernel.HeadSpan{
			{Stride: 3 * a.Dim, Count: a.Heads},
			{Offset: a.Dim, Stride: 3 * a.Dim, Count: a.Heads},
		}
	}
	return [2]kernel.HeadSpan{
		{Stride: a.Dim, Count: a.Heads},
		{Offset: a.Heads * a.Dim, Stride: a.Dim, Count: a.KVHeads},
	}
}

func (a *Attention) rotate(g *graph.Graph, x *graph.Node, s *Sequence, spans [2]kernel.HeadSpan) *graph.Node {
	if a.Rot == 0 {
		return x
	}
	k := kernel.Rotary{Dim: a.Dim, Rot: a.Rot, Spans: spans}
	return g.Apply(k, x, g.Leaf("rotary.cos", s.Cos), g.Leaf("rotary.sin", s.Sin), g.Leaf("positions", s.Positions))
}

// attend adds the attention itself, through the cache if there is one.
func (a *Attention) attend(g *graph.Graph, s *Sequence, qkv ...*graph.Node) *graph.Node {
	k := kernel.Attention{
		Heads: a.Heads, KVHeads: a.KVHeads, Dim: a.Dim, Window: a.Window, Scale: a.Scale, Causal: true, Fused: a.Fused,
	}
	c := s.Cache
	if c == nil {
		return g.Apply(k, append(qkv, g.Leaf("segments", s.Segments))...)
	}
	return g.Apply(kernel.CachedAttention(k), append(qkv,
		g.Leaf(a.Name+".cache.k", c.K[a.Layer]), g.Leaf(a.Name+".cache.v", c.V[a.Layer]), g.Leaf("cache.start", c.Start))...)
}
