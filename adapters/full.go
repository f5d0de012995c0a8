package adapters

import (
	"fmt"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
)

// validateFull refuses keys that say nothing about full fine-tuning.
func validateFull(c Config) error {
	for _, k := range []struct {
		key string
		set bool
	}{
		{"rank", c.Rank != 0}, {"alpha", c.Alpha != 0}, {"use_rslora", c.UseRSLoRA}, {"dropout", c.Dropout != 0},
		{"targets", c.Targets != nil}, {"exclude", c.Exclude != nil}, {"layers_to_transform", len(c.LayersToTransform) > 0},
		{"layers_pattern", len(c.LayersPattern) > 0}, {"rank_pattern", len(c.RankPattern) > 0},
		{"alpha_pattern", len(c.AlphaPattern) > 0}, {"bias", c.Bias != ""}, {"modules_to_save", len(c.ModulesToSave) > 0},
		{"lora_bias", c.LoRABias}, {"init", !c.Init.isZero()},
	} {
		if k.set {
			return fmt.Errorf("%s does not go with type full, which trains all weights; remove it or choose another type", k.key)
		}
	}
	return nil
}

// readFull recognises plain weights.
func readFull(s formats.Settings) (Config, bool) { return Config{Type: typeFull}, s == nil }

// attachFull trains every parameter of the model under its own name.
func attachFull(b *builder) error {
	keys := map[*graph.Param]string{}
	for _, p := range b.model.Params() {
		keys[p] = p.Name
	}
	return b.trainParams(keys)
}
