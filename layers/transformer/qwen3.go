package transformer

// qwen3 is the dense Qwen 3 (Qwen Team, 2025): Llama with an RMS norm on each head of queries and keys, before the rotary embedding.
var qwen3 = family{
	modelType:    "qwen3",
	architecture: "Qwen3ForCausalLM",
	parse: func(f *fields, c *Config) {
		c.parseLlama(f, llamaDefaults{positions: 32768, kvHeads: 32, headDim: 128})
		c.AttentionBias = f.boolean("attention_bias", false)
		c.AttentionOutBias = c.AttentionBias
		c.qwenWindows(f)
	},
	build:   func(b *builder) { b.buildLlama(llamaVariant{qkNorm: true}) },
	buffers: llamaBuffers,
}
