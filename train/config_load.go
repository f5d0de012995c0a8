package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/geotune/geotune/internal/strictyaml"
)

// LoadConfig reads the configuration file at path and applies overrides of the form key.path=value to it, in order. The error joins
// all mistakes, each with its place (file, line and column, or the override) and remedy.
//
// An override of optimizer.name replaces the rule: what the file sets of the old rule's own settings is dropped, and the learning
// rate and decay are the new rule's defaults unless the file or another override sets them.
func LoadConfig(path string, sets []string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("train: read config: %w", err)
	}
	return ParseConfig(path, data, sets)
}

// ParseConfig is LoadConfig for the content of a file; name labels it in errors and gives the run's folder its name.
func ParseConfig(name string, data []byte, sets []string) (*Config, error) {
	l := &configLoader{config: DefaultConfig(), name: name, data: data}
	base := filepath.Base(name)
	l.config.Out = filepath.Join("runs", strings.TrimSuffix(base, filepath.Ext(base)))
	for _, step := range []func() error{
		func() error { return l.parseSets(sets) }, l.decode, l.replaceRule, l.override,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	c := l.config
	c.Adapter = c.Adapter.WithDefaults()
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, fmt.Errorf("%s: %w", l.place(p.path), p))
	}
	return c, errors.Join(errs...)
}

// configLoader reads a config in steps.
type configLoader struct {
	config *Config
	name   string
	data   []byte
	sets   []override
}

type override struct{ key, value string }

func (o override) String() string { return fmt.Sprintf("--set %s=%s", o.key, o.value) }

func (l *configLoader) parseSets(sets []string) error {
	var errs []error
	for _, s := range sets {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			errs = append(errs, fmt.Errorf("--set %s: expected key=value, such as optimizer.lr=1e-4", s))
		}
		l.sets = append(l.sets, override{key, value})
	}
	return errors.Join(errs...)
}

// decode reads the file, whose optimizer section depends on the name in it. That is why an unknown name is reported alone.
func (l *configLoader) decode() error {
	if name, ok := strictyaml.Peek(l.data, "optimizer.name"); ok {
		if err := l.config.Optimizer.use(name); err != nil {
			return fmt.Errorf("%s: optimizer.name: %w", strictyaml.Locate(l.name, l.data, "optimizer.name"), trimmed(err, "optim: "))
		}
	}
	return strictyaml.Decode(l.name, l.data, l.config)
}

// replaceRule takes up the rule that the last override of the optimizer's name asks for.
func (l *configLoader) replaceRule() error {
	for _, s := range l.sets {
		name, ok := s.value, s.key == "optimizer.name"
		if s.key == "optimizer" {
			name, ok = strictyaml.Peek([]byte(s.value), "name")
		}
		if !ok || name == l.config.Optimizer.Name {
			continue
		}
		before := l.config.Optimizer
		if err := l.config.Optimizer.use(name); err != nil {
			return fmt.Errorf("%v: %w", s, trimmed(err, "optim: "))
		}
		if l.fileSets("optimizer.lr") {
			l.config.Optimizer.LR = before.LR
		}
		if l.fileSets("optimizer.weight_decay") {
			l.config.Optimizer.WeightDecay = before.WeightDecay
		}
	}
	return nil
}

// fileSets reports whether the file sets the scalar at path.
func (l *configLoader) fileSets(path string) bool {
	_, ok := strictyaml.Peek(l.data, path)
	return ok
}

func (l *configLoader) override() error {
	var errs []error
	for _, s := range l.sets {
		if err := strictyaml.Set(l.config, s.key, s.value); err != nil {
			errs = append(errs, fmt.Errorf("--set %w", err))
		}
	}
	return errors.Join(errs...)
}

// place returns where the value at path was set: by the last override of it, else in the file, or in the nearest section around it.
func (l *configLoader) place(path string) string {
	for i := len(l.sets) - 1; i >= 0; i-- {
		if s := l.sets[i]; path == s.key || strings.HasPrefix(path, s.key+".") {
			return s.String()
		}
	}
	for {
		if at := strictyaml.Locate(l.name, l.data, path); at != l.name {
			return at
		}
		dot := strings.LastIndexAny(path, ".[")
		if dot < 0 {
			return l.name
		}
		path = path[:dot]
	}
}

// trimmed returns an error of a lower package without the package's name, for places where the user's file matters.
func trimmed(err error, prefix string) error {
	return errors.New(strings.TrimPrefix(err.Error(), prefix))
}
