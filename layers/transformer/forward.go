package transformer

import (
	"fmt"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
)

// Ignored is the target of positions that do not count in the loss.
const Ignored = -100

// Batch is the input of a forward pass; all tensors are I32 [B,T]. A graph refers to them, so that the next batch is written into the
// same memory.
type Batch struct {
	// IDs are the token ids.
	IDs *kernel.Tensor
	// Positions are the position_ids of transformers, which counts 0, 1, ... over the row whatever the padding.
	Positions *kernel.Tensor
	// Segments take the place of attention_mask: 0 is padding, and tokens of different segments (documents packed into one row) do
	// not see each other.
	Segments *kernel.Tensor
	// Targets are the ids to predict at each position, the labels of transformers shifted by one; Ignored where there is none. Nil
	// leaves the loss out.
	Targets *kernel.Tensor
}

// NewBatch returns a batch of b rows of t tokens: positions counted, one segment, all targets ignored.
func NewBatch(b, t int) *Batch {
	n := &Batch{IDs: kernel.NewI32(b, t), Positions: kernel.NewI32(b, t), Segments: kernel.NewI32(b, t), Targets: kernel.NewI32(b, t)}
	for i := range n.IDs.I32 {
		n.Positions.I32[i] = int32(i % t)
		n.Segments.I32[i] = 1
		n.Targets.I32[i] = Ignored
	}
	return n
}

// SetLabels sets the targets from the labels of transformers' forward, which name the token at the same position: each is the target
// of the position before.
func (b *Batch) SetLabels(labels []int32) {
	t := b.IDs.Shape.Last()
	for i := range b.Targets.I32 {
		b.Targets.I32[i] = Ignored
		if (i+1)%t != 0 {
			b.Targets.I32[i] = labels[i+1]
		}
	}
}

// TargetCount returns how many targets count in the loss.
func (b *Batch) TargetCount() int {
	n := 0
	for _, id := range b.Targets.I32 {
		if id != Ignored {
			n++
		}
	}
	return n
}

// Options are choices of a forward pass.
type Options struct {
	// Checkpoint keeps only the input of each block for the backward pass and computes the rest again.
	Checkpoint bool
	// NeedLogits asks for Outputs.Logits; otherwise the loss is computed without ever holding all of them.
	NeedLogits bool
	// Positions is one more than the largest entry of Batch.Positions, which sizes the rotary tables and, with dynamic scaling, sets
	// the frequencies; 0 stands for the length of a row.
	Positions int
}

// Outputs are the nodes of a forward pass.
type Outputs struct {
	// Logits [B,T,vocabulary] is nil unless asked for or needed for the loss.
	Logits *graph.Node
	// Loss [1] is the sum of the cross-entropies over all counted targets, nil without targets.
	Loss *graph.Node
	// Hidden are the hidden_states of transformers: the embeddings, then the output of each block, the last one after the final norm.
	Hidden []*graph.Node
}

// Forward adds the model to g. Errors surface in g.Compile.
func (m *Model) Forward(g *graph.Graph, b *Batch, opt Options) Outputs {
	positions := max(opt.Positions, b.IDs.Shape.Last())
	if m.position != nil && positions > m.position.Num {
		g.Fail(fmt.Errorf("transformer: %d positions in a batch, but the model has learned %d (n_positions); use shorter rows", positions, m.position.Num))
		return Outputs{}
	}
	t := m.rope(positions)
	seq := &layers.Sequence{Positions: b.Positions, Segments: b.Segments, Cos: t.cos, Sin: t.sin}
	out := Outputs{Hidden: m.hidden(g, b.IDs, seq, opt.Checkpoint)}
	h := out.Hidden[len(out.Hidden)-1]
	if opt.NeedLogits || b.Targets != nil && m.output.Adapter != nil {
		out.Logits = m.output.Apply(g, h)
	}
	if b.Targets == nil {
		return out
	}
	targets := g.Leaf("targets", b.Targets)
	if out.Logits != nil {
		out.Loss = g.Apply(kernel.CrossEntropy{}, out.Logits, targets)
		return out
	}
	k := kernel.LMLoss{Bias: m.output.Bias != nil, InOut: m.output.InOut}
	out.Loss = g.Apply(k, append(m.output.Inputs(g, h), targets)...)
	return out
}

// hidden adds everything but the output layer and returns the hidden states.
func (m *Model) hidden(g *graph.Graph, ids *kernel.Tensor, seq *layers.Sequence, checkpoint bool) []*graph.Node {
	x := m.embed.Apply(g, g.Leaf("ids", ids))
	if m.position != nil {
		x = layers.Residual(g, x, m.position.Apply(g, g.Leaf("positions", seq.Positions)))
	}
	states := []*graph.Node{x}
	for _, b := range m.blocks {
		if checkpoint {
			x = g.Checkpoint(func(g *graph.Graph, in []*graph.Node) *graph.Node { return b.Apply(g, in[0], seq) }, x)
		} else {
			x = b.Apply(g, x, seq)
		}
		states = append(states, x)
	}
	states[len(states)-1] = m.norm.Apply(g, x)
	return states
}
