package compare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/internal/strictyaml"
	"github.com/geotune/geotune/train"
)

// Config is the file of a comparison. Load is the way to get one: it knows the defaults.
type Config struct {
	// Base is the training config that all variants share: the path of a file (builtin:NAME is one that comes with the program), or
	// the sections of a training config written out.
	Base any `yaml:"base"`
	// Set overrides values of the base for all variants: {train.steps: 100}.
	Set map[string]any `yaml:"set"`
	// Overrides do the same in the form KEY=VALUE of geotune train --set, after Set and in their order; the last of a key counts.
	// --set set.KEY=VALUE adds to them.
	Overrides []string `yaml:"overrides,omitzero"`
	// Variants are compared; Baseline names the one that the others are held against, the first by default.
	Variants []Variant `yaml:"variants"`
	Baseline string    `yaml:"baseline"`
	// LR is the grid of learning rates of variants that have none of their own. Without a grid a variant trains with the learning rate
	// of its config.
	LR []float64 `yaml:"lr"`
	// Seeds are the values of train.seed with which each variant is trained; that of the base by default.
	Seeds []uint64 `yaml:"seeds"`
	Tune  Tune     `yaml:"tune"`
	// Timing is how many steps of each variant are timed after all runs, when nothing else runs; 10 by default, 0 = none.
	Timing int `yaml:"timing"`
	// Parallel is how many runs train side by side. They share the threads of the process. 0 (the default) is one for every two
	// threads, at most 4.
	Parallel int `yaml:"parallel"`
	// Out is the folder of the comparison, runs/<name of the config file> by default.
	Out string `yaml:"out"`
}

// Variant is what is compared.
type Variant struct {
	// Name stands in tables and is a folder's name.
	Name string `yaml:"name"`
	// Set overrides values of the optimizer, the adapter and the schedule: {optimizer.name: muon, adapter.init.name: pissa}.
	Set map[string]any `yaml:"set"`
	// LR is the grid of learning rates.
	LR []float64 `yaml:"lr"`
}

// Tune says how the learning rate is chosen from the grid: every rate is tried with the first Seeds seeds, and the one with the lowest
// mean of By goes on with the other seeds.
type Tune struct {
	// Seeds is 0 (the default) for all seeds.
	Seeds int `yaml:"seeds"`
	// By is best (the default), the lowest held-out loss of a run, or final, that after its last step.
	By string `yaml:"by"`
}

// The values of Tune.By.
const (
	ByBest  = "best"
	ByFinal = "final"
)

const defaultTiming = 10

// source is where a comparison is written.
type source struct {
	name  string
	data  []byte
	sets  []train.Override // of the comparison itself, from the command line
	added int              // how many of the overrides of the base are from there too: the last ones
}

// Load reads the file of a comparison, applies overrides of the form key=value to it and returns the plan. The error joins all
// mistakes, each with its place and remedy.
func Load(path string, sets []string) (*Plan, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("compare: read config: %w", err)
	}
	return Parse(path, data, sets)
}

// Parse is Load for the content of a file; name labels it in errors and gives the folder its name.
func Parse(name string, data []byte, sets []string) (*Plan, error) {
	overrides, err := train.ParseOverrides(sets)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	c := &Config{Tune: Tune{By: ByBest}, Timing: defaultTiming, Out: filepath.Join("runs", strings.TrimSuffix(base, filepath.Ext(base)))}
	if err := strictyaml.Decode(name, data, c); err != nil {
		return nil, err
	}
	s := source{name: name, data: data}
	var errs []error
	for _, o := range overrides {
		errs = append(errs, s.apply(c, o))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newPlan(c, s)
}

// apply carries out an override from the command line. That of set.KEY is kept as it is: what its text means is for the training config to
// say, which knows the type of the setting. That of set replaces all of them.
func (s *source) apply(c *Config, o train.Override) error {
	if key, ok := strings.CutPrefix(o.Key, "set."); ok && key != "" {
		c.Overrides = append(c.Overrides, key+"="+o.Value)
		s.added++
		return nil
	}
	switch o.Key {
	case "set":
		c.Overrides, s.added = nil, 0
	case "overrides":
		s.added = 0
	}
	s.sets = append(s.sets, o)
	if err := strictyaml.Set(c, o.Key, o.Value); err != nil {
		return fmt.Errorf("--set %w%s", err, setHint(o.Key))
	}
	return nil
}

// setHint tells users of train's overrides what they are called here.
func setHint(key string) string {
	section, _, _ := strings.Cut(key, ".")
	for _, s := range []string{"model", "data", "adapter", "optimizer", "schedule", "train", "eval"} {
		if section == s {
			return fmt.Sprintf("; to change it for all variants, write --set set.%s=...", key)
		}
	}
	return ""
}

// YAML writes the config with every default visible.
func (c *Config) YAML() ([]byte, error) { return strictyaml.Marshal(c) }

// place returns where the value at path was set.
func (s source) place(path string) string {
	for i := len(s.sets) - 1; i >= 0; i-- {
		if o := s.sets[i]; path == o.Key || strings.HasPrefix(path, o.Key+".") || strings.HasPrefix(path, o.Key+"[") {
			return fmt.Sprintf("--set %s=%s", o.Key, o.Value)
		}
	}
	for path != "" {
		if at := strictyaml.Locate(s.name, s.data, path); at != s.name {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return s.name
}

// failf returns a mistake in the value at path.
func (s source) failf(path, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %s", s.place(path), path, fmt.Sprintf(format, args...))
}

// training returns where the training config of the base is written.
func (s source) training(c *Config) (train.Source, error) {
	switch base := c.Base.(type) {
	case string:
		path, err := configs.Resolve(base)
		if err != nil {
			return train.Source{}, fmt.Errorf("%s: base: %w", s.place("base"), err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return train.Source{}, fmt.Errorf("%s: base: %w", s.place("base"), err)
		}
		return train.Source{Name: base, Data: data}, nil
	case map[string]any:
		if at := s.place("base"); strings.HasPrefix(at, "--set") {
			text, err := strictyaml.Marshal(base)
			return train.Source{Name: at, Data: text}, err
		}
		return train.Source{Name: s.name, Data: s.data, Section: "base"}, nil
	case nil:
		return train.Source{}, s.failf("base", "is missing; name a training config such as builtin:quickstart.yaml")
	}
	return train.Source{}, s.failf("base", "is %v, expected the path of a training config or its sections", c.Base)
}
