package adapters

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
)

// configOf returns the config that builds the adapter of a file.
func configOf(f *formats.Adapter) (Config, error) {
	for _, t := range types {
		if c, ok := t.read(f.Settings); ok {
			return c, nil
		}
	}
	return Config{}, fmt.Errorf("adapters: %s: peft_type %s cannot be attached; known types are %s", f.Path, f.Settings.PEFTType(), strings.Join(Types(), ", "))
}

// resolve reads the file of From and returns the config that it stands for.
func (c Config) resolve() (Config, *formats.Adapter, error) {
	if c.From == "" {
		return c.WithDefaults(), nil, nil
	}
	f, err := formats.Read(c.From, nil)
	if err != nil {
		return c, nil, err
	}
	stored, err := configOf(f)
	if err != nil {
		return c, nil, err
	}
	if err := c.agrees(stored); err != nil {
		return c, nil, fmt.Errorf("adapters: from %s: %w", c.From, err)
	}
	if c.Dropout != 0 {
		stored.Dropout = c.Dropout
	}
	stored.From = c.From
	return stored, f, nil
}

// agrees reports the first key that is set and contradicts the stored adapter.
func (c Config) agrees(stored Config) error {
	targets, err := selection("targets", c.Targets)
	if err != nil {
		return err
	}
	exclude, err := selection("exclude", c.Exclude)
	if err != nil {
		return err
	}
	storedTargets, _ := selection("targets", stored.Targets)
	storedExclude, _ := selection("exclude", stored.Exclude)
	for _, k := range []struct {
		key           string
		given, agrees bool
		want, found   any
	}{
		{"type", c.Type != "", c.Type == stored.Type, c.Type, stored.Type},
		{"rank", c.Rank != 0, c.Rank == stored.Rank, c.Rank, stored.Rank},
		{"alpha", c.Alpha != 0, c.Alpha == stored.Alpha, c.Alpha, stored.Alpha},
		{"use_rslora", c.UseRSLoRA, stored.UseRSLoRA, c.UseRSLoRA, stored.UseRSLoRA},
		{"targets", !targets.IsZero(), targets.Equal(storedTargets), targets, storedTargets},
		{"exclude", !exclude.IsZero(), exclude.Equal(storedExclude), exclude, storedExclude},
		{"layers_to_transform", len(c.LayersToTransform) > 0, slices.Equal(c.LayersToTransform, stored.LayersToTransform), c.LayersToTransform, stored.LayersToTransform},
		{"layers_pattern", len(c.LayersPattern) > 0, slices.Equal(c.LayersPattern, stored.LayersPattern), c.LayersPattern, stored.LayersPattern},
		{"rank_pattern", len(c.RankPattern) > 0, maps.Equal(c.RankPattern, stored.RankPattern), c.RankPattern, stored.RankPattern},
		{"alpha_pattern", len(c.AlphaPattern) > 0, maps.Equal(c.AlphaPattern, stored.AlphaPattern), c.AlphaPattern, stored.AlphaPattern},
		{"bias", c.Bias != "", c.Bias == stored.Bias, c.Bias, stored.Bias},
		{"modules_to_save", len(c.ModulesToSave) > 0, slices.Equal(c.ModulesToSave, stored.ModulesToSave), c.ModulesToSave, stored.ModulesToSave},
		{"lora_bias", c.LoRABias, stored.LoRABias, c.LoRABias, stored.LoRABias},
		{"init", !c.Init.isZero(), c.Init == stored.Init, c.Init.Name, stored.Init.Name},
	} {
		if k.given && !k.agrees && k.key == "init" && k.want == k.found {
			return errors.New("init has settings, but they do not apply to an adapter that exists; remove the key")
		}
		if k.given && !k.agrees {
			return fmt.Errorf("%s is %v, but the adapter has %v; remove the key, it comes from there", k.key, k.want, k.found)
		}
	}
	return nil
}
