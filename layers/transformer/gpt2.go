package transformer

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/layers"
)

// gpt2 is GPT-2 (Radford et al., 2019): learned positions, layer norms, a fused projection, and weights stored as (in, out).
var gpt2 = family{
	modelType:    "gpt2",
	architecture: "GPT2LMHeadModel",
	parse:        parseGPT2,
	build:        buildGPT2,
	prefix:       "transformer.",
	buffers:      []string{".attn.bias", ".attn.masked_bias"},
}

func parseGPT2(f *fields, c *Config) {
	c.VocabSize = f.integer("vocab_size", required, 1, maxVocab)
	c.HiddenSize = f.integer("n_embd", required, 1, maxWidth/4)
	c.IntermediateSize = f.integer("n_inner", 4*c.HiddenSize, 1, maxWidth)
	c.NumLayers = f.integer("n_layer", required, 1, maxLayers)
	c.NumHeads = f.integer("n_head", required, 1, maxHeads)
	c.NumKVHeads = c.NumHeads
	c.headDim(f, "n_head")
	c.MaxPositions = f.integer("n_positions", 1024, 1, maxPositions)
	c.Activation = activations[f.choice("activation_function", "gelu_new", plainActs...)]
	c.NormEps = float32(f.number("layer_norm_epsilon", 1e-5, 0, 1))
	c.InitStd = f.number("initializer_range", 0.02, 0, 10)
	c.Tied = f.boolean("tie_word_embeddings", true)
	c.UnscaledAttention = !f.boolean("scale_attn_weights", true)
	c.ScaleByInverseLayer = f.boolean("scale_attn_by_inverse_layer_idx", false)
}

// buildGPT2 makes the model under the names of GPT2LMHeadModel.
func buildGPT2(b *builder) {
	c := b.Config
	b.embed = b.embedding("transformer.wte", c.VocabSize)
	b.position = b.embedding("transformer.wpe", c.MaxPositions)
	for i := range c.NumLayers {
		name := fmt.Sprintf("transformer.h.%d", i)
		b.blocks = append(b.blocks, &layers.Block{
			AttnNorm: b.layerNorm(name + ".ln_1"),
			Attn:     b.gpt2Attention(name+".attn", i),
			MLPNorm:  b.layerNorm(name + ".ln_2"),
			MLP: &layers.MLP{
				Act:  c.Activation,
				Up:   b.conv1D(name+".mlp.c_fc", c.HiddenSize, c.IntermediateSize, initNormal),
				Down: b.conv1D(name+".mlp.c_proj", c.IntermediateSize, c.HiddenSize, initResidual),
			},
		})
	}
	b.norm = b.layerNorm("transformer.ln_f")
	b.head("lm_head")
}

func (b *builder) gpt2Attention(name string, layer int) *layers.Attention {
	c := b.Config
	scale := 1.0
	if !c.UnscaledAttention {
		scale = 1 / math.Sqrt(float64(c.HeadDim))
	}
	if c.ScaleByInverseLayer {
		scale /= float64(layer + 1)
	}
	return &layers.Attention{
		Name: name, Layer: layer, Heads: c.NumHeads, KVHeads: c.NumHeads, Dim: c.HeadDim, Scale: float32(scale),
		QKV:   b.conv1D(name+".c_attn", c.HiddenSize, 3*c.HiddenSize, initNormal),
		Fused: layers.FusedQKV,
		Out:   b.conv1D(name+".c_proj", c.HiddenSize, c.HiddenSize, initResidual),
	}
}
