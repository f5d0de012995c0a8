package transformer

// qwen2 is Qwen 2 and 2.5 (Qwen Team, 2024): Llama with biases on queries, keys and values.
var qwen2 = family{
	modelType:    "qwen2",
	architecture: "Qwen2ForCausalLM",
	parse: func(f *fields, c *Config) {
		c.parseLlama(f, llamaDefaults{positions: 32768, kvHeads: 32})
		c.AttentionBias = true
		c.qwenWindows(f)
	},
	build:   func(b *builder) { b.buildLlama(llamaVariant{}) },
	buffers: llamaBuffers,
}

// qwenWindows reads the sliding window, which needs use_sliding_window and begins at layer max_window_layers.
func (c *Config) qwenWindows(f *fields) {
	window := f.window(4096)
	first := f.integer("max_window_layers", 28, 0, maxPositions)
	if !f.boolean("use_sliding_window", false) {
		window = 0
	}
	c.windows(f, window, first)
}
