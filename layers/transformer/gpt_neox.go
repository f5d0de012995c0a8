package transformer

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/layers"
)

// gptNeoX is GPT-NeoX (Black et al., 2022) and Pythia: a projection fused per head, rotary embedding on a part of each head, and
// attention and MLP side by side.
var gptNeoX = family{
	modelType:    "gpt_neox",
	architecture: "GPTNeoXForCausalLM",
	parse:        parseGPTNeoX,
	build:        buildGPTNeoX,
	buffers:      []string{".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq"},
}

func parseGPTNeoX(f *fields, c *Config) {
	c.sizes(f)
	c.NumKVHeads = c.NumHeads
	c.headDim(f, "num_attention_heads")
	c.MaxPositions = f.integer("max_position_embeddings", 2048, 1, maxPositions)
	c.Activation = activations[f.choice("hidden_act", "gelu", plainActs...)]
	c.NormEps = float32(f.number("layer_norm_eps", 1e-5, 0, 1))
	c.Tied = f.boolean("tie_word_embeddings", false)
	c.AttentionBias = f.boolean("attention_bias", true)
	c.AttentionOutBias = c.AttentionBias
	c.ParallelResidual = f.boolean("use_parallel_residual", true)
	theta := f.number("rotary_emb_base", 10000, minTheta, maxTheta)
	if f.has("rotary_emb_base") && f.number("rope_theta", theta, minTheta, maxTheta) != theta {
		f.reject("rope_theta", fmt.Sprintf("the same as rotary_emb_base, %g", theta))
	}
	partial := f.number("rotary_pct", f.number("partial_rotary_factor", 0.25, 0, 1), 0, 1)
	c.parseRope(f, theta, partial)
}

// buildGPTNeoX makes the model under the names of GPTNeoXForCausalLM.
func buildGPTNeoX(b *builder) {
	c := b.Config
	b.embed = b.embedding("gpt_neox.embed_in", c.VocabSize)
	for i := range c.NumLayers {
		name := fmt.Sprintf("gpt_neox.layers.%d", i)
		b.blocks = append(b.blocks, &layers.Block{
			Parallel: c.ParallelResidual,
			AttnNorm: b.layerNorm(name + ".input_layernorm"),
			MLPNorm:  b.layerNorm(name + ".post_attention_layernorm"),
			Attn: &layers.Attention{
				Name: name + ".attention", Layer: i, Heads: c.NumHeads, KVHeads: c.NumHeads, Dim: c.HeadDim, Rot: c.Rope.Rot,
				Scale: float32(1 / math.Sqrt(float64(c.HeadDim))),
				QKV:   b.linear(name+".attention.query_key_value", c.HiddenSize, 3*c.HiddenSize, c.AttentionBias),
				Fused: layers.FusedNeoX,
				Out:   b.linear(name+".attention.dense", c.HiddenSize, c.HiddenSize, c.AttentionOutBias),
			},
			MLP: &layers.MLP{
				Act:  c.Activation,
				Up:   b.linear(name+".mlp.dense_h_to_4h", c.HiddenSize, c.IntermediateSize, true),
				Down: b.linear(name+".mlp.dense_4h_to_h", c.IntermediateSize, c.HiddenSize, true),
			},
		})
	}
	b.norm = b.layerNorm("gpt_neox.final_layer_norm")
	b.head("embed_out")
}
