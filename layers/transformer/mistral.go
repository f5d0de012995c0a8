package transformer

// mistral is Mistral 7B and its kin (Jiang et al., 2023): Llama with a sliding window in every layer. An absent sliding_window is one
// of 4096, as in transformers; null switches it off.
var mistral = family{
	modelType:    "mistral",
	architecture: "MistralForCausalLM",
	parse: func(f *fields, c *Config) {
		c.parseLlama(f, llamaDefaults{positions: 131072, kvHeads: 8})
		c.windows(f, f.window(4096), 0)
	},
	build:   func(b *builder) { b.buildLlama(llamaVariant{}) },
	buffers: llamaBuffers,
}
