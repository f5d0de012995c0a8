package transformer

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/layers"
)

// llama is Llama 1 to 3.x (Touvron et al., 2023; Llama Team, 2024) and whatever else has the same layout.
var llama = family{
	modelType:    "llama",
	architecture: "LlamaForCausalLM",
	parse: func(f *fields, c *Config) {
		c.parseLlama(f, llamaDefaults{positions: 2048})
		c.AttentionBias = f.boolean("attention_bias", false)
		c.AttentionOutBias = c.AttentionBias
		c.MLPBias = f.boolean("mlp_bias", false)
	},
	build:   func(b *builder) { b.buildLlama(llamaVariant{}) },
	buffers: llamaBuffers,
}

// llamaBuffers are the frequencies that early versions of transformers saved.
var llamaBuffers = []string{".rotary_emb.inv_freq"}

// llamaDefaults are the values of absent fields that differ between the families built like Llama.
type llamaDefaults struct {
	positions int
	kvHeads   int // 0: as many as query heads
	headDim   int // 0: hidden size / heads
	tied      bool
	act       string // field of the activation; "" is hidden_act
	actValue  string // "" is silu
}

// parseLlama reads the fields that Llama, Mistral, Qwen and Gemma share.
func (c *Config) parseLlama(f *fields, d llamaDefaults) {
	c.sizes(f)
	if d.kvHeads == 0 {
		d.kvHeads = c.NumHeads
	}
	c.NumKVHeads = f.integer("num_key_value_heads", d.kvHeads, 1, maxHeads)
	c.HeadDim = f.integer("head_dim", d.headDim, 1, maxHeadDim)
	c.headDim(f, "num_attention_heads")
	c.MaxPositions = f.integer("max_position_embeddings", d.positions, 1, maxPositions)
	if d.act == "" {
		d.act, d.actValue = "hidden_act", "silu"
	}
	c.Activation = activations[f.choice(d.act, d.actValue, gatedActs...)]
	c.NormEps = float32(f.number("rms_norm_eps", 1e-6, 0, 1))
	c.Tied = f.boolean("tie_word_embeddings", d.tied)
	if p := f.number("partial_rotary_factor", 1, 0, 1); p != 1 {
		f.reject("partial_rotary_factor", "1")
	}
	c.parseRope(f, 10000, 1)
}

// llamaVariant tells the families built like Llama apart.
type llamaVariant struct {
	qkNorm     bool    // norms on the heads of queries and keys
	normOffset float32 // added to the weights of the norms
	scaleEmbed bool    // embeddings times √hidden
}

// buildLlama makes the model under the names of LlamaForCausalLM.
func (b *builder) buildLlama(v llamaVariant) {
	c := b.Config
	b.embed = b.embedding("model.embed_tokens", c.VocabSize)
	if v.scaleEmbed {
		b.embed.Scale = float32(math.Sqrt(float64(c.HiddenSize)))
	}
	for i := range c.NumLayers {
		name := fmt.Sprintf("model.layers.%d", i)
		b.blocks = append(b.blocks, &layers.Block{
			Attn:     b.llamaAttention(name+".self_attn", i, v),
			MLP:      b.llamaMLP(name + ".mlp"),
			AttnNorm: b.rmsNorm(name+".input_layernorm", c.HiddenSize, v.normOffset),
			MLPNorm:  b.rmsNorm(name+".post_attention_layernorm", c.HiddenSize, v.normOffset),
		})
	}
	b.norm = b.rmsNorm("model.norm", c.HiddenSize, v.normOffset)
	b.head("lm_head")
}

func (b *builder) llamaAttention(name string, layer int, v llamaVariant) *layers.Attention {
	c := b.Config
	width, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	a := &layers.Attention{
		Name: name, Layer: layer, Heads: c.NumHeads, KVHeads: c.NumKVHeads, Dim: c.HeadDim, Rot: c.Rope.Rot, Window: c.Windows[layer],
		Scale: float32(1 / math.Sqrt(float64(c.HeadDim))),
		Q:     b.linear(name+".q_proj", c.HiddenSize, width, c.AttentionBias),
		K:     b.linear(name+".k_proj", c.HiddenSize, kv, c.AttentionBias),
		V:     b.linear(name+".v_proj", c.HiddenSize, kv, c.AttentionBias),
		Out:   b.linear(name+".o_proj", width, c.HiddenSize, c.AttentionOutBias),
	}
	if v.qkNorm {
		a.QNorm = b.rmsNorm(name+".q_norm", c.HeadDim, v.normOffset)
		a.KNorm = b.rmsNorm(name+".k_norm", c.HeadDim, v.normOffset)
	}
	return a
}

func (b *builder) llamaMLP(name string) *layers.GatedMLP {
	c := b.Config
	return &layers.GatedMLP{
		Act:  c.Activation,
		Gate: b.linear(name+".gate_proj", c.HiddenSize, c.IntermediateSize, c.MLPBias),
		Up:   b.linear(name+".up_proj", c.HiddenSize, c.IntermediateSize, c.MLPBias),
		Down: b.linear(name+".down_proj", c.IntermediateSize, c.HiddenSize, c.MLPBias),
	}
}
