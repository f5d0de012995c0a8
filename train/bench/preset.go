// Package bench measures products and training steps on this machine: rates by a stated count of operations, their share of what the
// processor can do at most, and where the time of a step goes.
package bench

import (
	"fmt"
	"maps"
	"slices"

	"github.com/geotune/geotune/internal/names"
	"github.com/geotune/geotune/layers/transformer"
)

// preset is a model of random weights with the batch and the adapted modules of a step.
type preset struct {
	model       string // config.json; %d stands for the number of positions
	rows        int    // of a batch
	length      int    // of a row, in tokens
	targets     string // of LoRA
	description string
}

// presets are models from a size that stays in the caches to one that does not. Rank 16 with alpha 32 goes for all of them.
var presets = map[string]preset{
	"gpt2-small": {
		model: `{"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": %d}`,
		rows:  4, length: 256, targets: "[attn.c_attn, attn.c_proj]", description: "124 M parameters, vocabulary 50257 tied",
	},
	"llama-60m": {
		model: `{"model_type": "llama", "hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2,
			"intermediate_size": 1408, "vocab_size": 32000, "rms_norm_eps": 1e-5, "max_position_embeddings": %d}`,
		rows: 4, length: 256, targets: llamaTargets, description: "55 M parameters, vocabulary 32000",
	},
	"llama-tiny": {
		model: `{"model_type": "llama", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
			"intermediate_size": 704, "vocab_size": 4096, "rms_norm_eps": 1e-5, "max_position_embeddings": %d}`,
		rows: 8, length: 256, targets: llamaTargets, description: "5 M parameters, vocabulary 4096",
	},
}

const llamaTargets = "[q_proj, k_proj, v_proj, o_proj]"

// Presets returns the names of the presets.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// Describe tells the size of a preset.
func Describe(name string) string { return presets[name].description }

func presetByName(name string) (preset, error) {
	p, ok := presets[name]
	if ok {
		return p, nil
	}
	return p, UsageError{names.Unknown("preset", name, Presets())}
}

// config returns the config of the model for rows of the given length.
func (p preset) config(name string, length int) (*transformer.Config, error) {
	return transformer.ParseConfig(name, fmt.Appendf(nil, p.model, length))
}

// UsageError is a mistake in what was asked for.
type UsageError struct{ text string }

// Error returns what was found and what was expected.
func (e UsageError) Error() string { return e.text }
