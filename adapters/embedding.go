package adapters

import (
	"errors"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/optim"
)

// adaptEmbedding puts factors A (rank,num) and B (dim,rank) onto an embedding: it starts with A zero and B normal, as PEFT does for
// every initialisation, and knows no dropout.
func (b *builder) adaptEmbedding(m *module, l *formats.LoRA, rank int, scale float32) error {
	switch {
	case l.DoRA:
		return errors.New("type dora adapts linear layers only; leave the embedding out of targets or use lora")
	case l.LoRABias:
		return errors.New("lora_bias is not possible on an embedding; leave it out of targets")
	}
	e := m.embedding
	p := &loraEmbedding{
		layer: e, scale: scale,
		a: newParam(m.name, formats.KindEmbeddingA, rank, e.Num), b: newParam(m.name, formats.KindEmbeddingB, e.Dim, rank),
	}
	if b.file == nil {
		rng := b.random(m.name)
		for i := range p.b.Param.Value.F32 {
			p.b.Param.Value.F32[i] = float32(rng.NormFloat64())
		}
	}
	e.Adapter = p
	b.add(p)
	return nil
}

// loraEmbedding is E[id] + scale·B·A[:,id] on an embedding.
type loraEmbedding struct {
	layer *layers.Embedding
	scale float32
	a, b  *Trainable
}

// ApplyEmbedding implements layers.EmbeddingAdapter.
func (p *loraEmbedding) ApplyEmbedding(g *graph.Graph, e *layers.Embedding, ids *graph.Node) *graph.Node {
	k := kernel.LoRAEmbedding{Scale: p.scale, EmbedScale: e.Scale}
	return g.Apply(k, ids, g.Param(e.Weight), g.Param(p.a.Param), g.Param(p.b.Param))
}

func (p *loraEmbedding) name() string             { return p.layer.Name }
func (p *loraEmbedding) trainables() []*Trainable { return []*Trainable{p.a, p.b} }
func (p *loraEmbedding) detach()                  { p.layer.Adapter = nil }

func (p *loraEmbedding) points() []optim.Point {
	return []optim.Point{lowRank(p.layer.Name, p.a, p.b, p.scale)}
}

// fuse adds scale·(B·A)ᵀ = scale·Aᵀ·Bᵀ.
func (p *loraEmbedding) fuse(f *fusion) error {
	e := p.layer
	w := append([]float32(nil), e.Weight.Value.Floats()...)
	cpu.Gemm(p.scale, p.a.Param.Value.Mat().T(), p.b.Param.Value.Mat().T(), 1, cpu.Dense(w, e.Num, e.Dim))
	f.set(e.Weight, w)
	return nil
}
