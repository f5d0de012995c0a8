package transformer

// gemma is Gemma 1 (Gemma Team, 2024): Llama with norms that scale by 1 + weight, embeddings times √hidden, and a GELU gate. Like
// transformers it reads the activation from hidden_activation and takes the tanh approximation where that is absent, whatever
// hidden_act says: the first published configs named the wrong one there.
var gemma = family{
	modelType:    "gemma",
	architecture: "GemmaForCausalLM",
	parse: func(f *fields, c *Config) {
		c.parseLlama(f, llamaDefaults{
			positions: 8192, kvHeads: 16, headDim: 256, tied: true, act: "hidden_activation", actValue: "gelu_pytorch_tanh",
		})
		c.AttentionBias = f.boolean("attention_bias", false)
		c.AttentionOutBias = c.AttentionBias
	},
	build:   func(b *builder) { b.buildLlama(llamaVariant{normOffset: 1, scaleEmbed: true}) },
	buffers: llamaBuffers,
}
