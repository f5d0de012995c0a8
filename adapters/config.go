package adapters

import (
	"errors"
	"fmt"

	"github.com/geotune/geotune/adapters/formats"
)

// Config is the adapter section of a run's configuration. The keys mean what they mean in PEFT's LoraConfig; the zero value of a
// field stands for its default.
type Config struct {
	// Type is lora (the default), dora or full.
	Type string `yaml:"type"`
	// Rank is the rank r of the update, 8 by default.
	Rank int `yaml:"rank"`
	// Alpha scales the update by alpha/rank, with use_rslora by alpha/√rank. The default is the rank.
	Alpha     float64 `yaml:"alpha"`
	UseRSLoRA bool    `yaml:"use_rslora"`
	// Dropout is the probability of dropping an input of the adapter's path in training.
	Dropout float64 `yaml:"dropout"`
	// Targets selects the modules to adapt: a list of names, each of which stands for the module of that path and for all whose path
	// ends in "."+name, or one regular expression for the whole path, or all-linear (the default), every linear layer but the output.
	Targets any `yaml:"targets"`
	// Exclude takes modules out again, in the same spelling.
	Exclude any `yaml:"exclude"`
	// LayersToTransform restricts a list of targets to layers of these indices, and LayersPattern names the modules that are
	// numbered, e.g. layers or h; without it the first number in a path counts.
	LayersToTransform []int    `yaml:"layers_to_transform"`
	LayersPattern     []string `yaml:"layers_pattern"`
	// RankPattern and AlphaPattern override rank and alpha for modules whose path, or its end after a dot, matches a key, a regular
	// expression. Where several keys match, the lexically first one counts.
	RankPattern  map[string]int     `yaml:"rank_pattern"`
	AlphaPattern map[string]float64 `yaml:"alpha_pattern"`
	// Bias says which biases of the model are trained along: none (the default), all, or lora_only, those of adapted modules.
	Bias string `yaml:"bias"`
	// ModulesToSave names modules that are trained whole beside the adapter.
	ModulesToSave []string `yaml:"modules_to_save"`
	// LoRABias gives the factor B a bias.
	LoRABias bool `yaml:"lora_bias"`
	// Init says how the adapter starts.
	Init Init `yaml:"init"`
	// From is an adapter's directory or file to start from. Type and shape come from there; what is set here must agree with it,
	// except for the dropout.
	From string `yaml:"from"`
}

// The defaults of a Config.
const (
	defaultType = "lora"
	defaultRank = 8
	defaultInit = "default"
)

// WithDefaults returns the config with every default filled in, so that it reproduces the run. It leaves a config with From alone,
// whose values come from there.
func (c Config) WithDefaults() Config {
	if c.From != "" {
		return c
	}
	if c.Type == "" {
		c.Type = defaultType
	}
	if c.Type == typeFull {
		return c
	}
	if c.Rank == 0 {
		c.Rank = defaultRank
	}
	if c.Alpha == 0 {
		c.Alpha = float64(c.Rank)
	}
	if c.Targets == nil {
		c.Targets = formats.AllLinear
	}
	if c.Bias == "" {
		c.Bias = formats.BiasNone
	}
	c.Init = c.Init.withDefaults()
	return c
}

// Validate checks everything that can be checked without the model.
func (c Config) Validate() error {
	if c.From != "" {
		return nil
	}
	c = c.WithDefaults()
	t, err := typeByName(c.Type)
	if err != nil {
		return err
	}
	if err := t.validate(c); err != nil {
		return fmt.Errorf("adapters: %w", err)
	}
	return nil
}

// lora returns the config as settings of PEFT's type LORA.
func (c Config) lora() (*formats.LoRA, error) {
	targets, err := selection("targets", c.Targets)
	if err != nil {
		return nil, err
	}
	exclude, err := selection("exclude", c.Exclude)
	if err != nil {
		return nil, err
	}
	if targets.IsZero() {
		return nil, errors.New("targets is empty; name the modules to adapt, or all-linear")
	}
	if err := c.Init.validate(c); err != nil {
		return nil, err
	}
	l := &formats.LoRA{
		Rank: c.Rank, Alpha: c.Alpha, RSLoRA: c.UseRSLoRA, DoRA: c.Type == typeDoRA, Dropout: c.Dropout, Bias: c.Bias,
		LoRABias: c.LoRABias, Targets: targets, Exclude: exclude, Indices: c.LayersToTransform, Pattern: c.LayersPattern,
		Ranks: c.RankPattern, Alphas: c.AlphaPattern, Save: c.ModulesToSave, Init: c.Init.peft(),
	}
	return l, l.Validate()
}

// selection reads a value of Targets or Exclude, as Go code or a YAML file gives it.
func selection(key string, v any) (formats.Selection, error) {
	switch v := v.(type) {
	case nil:
		return formats.Selection{}, nil
	case string:
		return formats.Selection{Pattern: v}, nil
	case []string:
		return formats.Selection{Names: v}, nil
	case formats.Selection:
		return v, nil
	case []any:
		s := formats.Selection{Names: []string{}}
		for i, item := range v {
			name, ok := item.(string)
			if !ok {
				return s, fmt.Errorf("%s[%d] is %v, expected the name of a module", key, i, item)
			}
			s.Names = append(s.Names, name)
		}
		return s, nil
	}
	return formats.Selection{}, fmt.Errorf("%s is %v, expected a list of module names, a regular expression or all-linear", key, v)
}
