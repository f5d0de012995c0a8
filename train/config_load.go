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
	overrides, err := ParseOverrides(sets)
	if err != nil {
		return nil, err
	}
	return Source{Name: name, Data: data}.Parse(overrides)
}

// Override changes one value of a config.
type Override struct {
	// Key is the value's path, such as optimizer.lr, and Value its YAML, or for a setting that is a text the text as it is.
	Key, Value string
	// YAML says that Value is YAML for every setting, as in a file.
	YAML bool
	// Place says in errors where the override stands; empty is the command line.
	Place string
}

// ParseOverrides reads overrides of the form key.path=value.
func ParseOverrides(sets []string) ([]Override, error) {
	var overrides []Override
	var errs []error
	for _, s := range sets {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			errs = append(errs, fmt.Errorf("--set %s: expected key=value, such as optimizer.lr=1e-4", s))
		}
		overrides = append(overrides, Override{Key: key, Value: value})
	}
	return overrides, errors.Join(errs...)
}

func (o Override) place() string {
	if o.Place != "" {
		return o.Place
	}
	return fmt.Sprintf("--set %s=%s", o.Key, o.Value)
}

// apply changes the value of c.
func (o Override) apply(c *Config) error {
	set := strictyaml.Set
	if o.YAML {
		set = strictyaml.SetYAML
	}
	err := set(c, o.Key, o.Value)
	switch {
	case err == nil:
		return nil
	case o.Place != "":
		return fmt.Errorf("%s: %w", o.Place, err)
	}
	return fmt.Errorf("--set %w", err)
}

// Source is where a config is written: in a file, or in one section of it.
type Source struct {
	// Name is the file's; it labels errors and gives the run's folder its name.
	Name string
	Data []byte
	// Section is the path of the section that holds the config, empty for the whole file.
	Section string
}

// Parse returns the config with overrides applied to it in order; see LoadConfig.
func (s Source) Parse(overrides []Override) (*Config, error) {
	l := &configLoader{config: DefaultConfig(), Source: s, overrides: overrides}
	base := filepath.Base(s.Name)
	l.config.Out = filepath.Join("runs", strings.TrimSuffix(base, filepath.Ext(base)))
	for _, step := range []func() error{l.decode, l.replaceRule, l.override} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	c := l.config
	c.Adapter = c.adapter()
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, fmt.Errorf("%s: %w", l.place(p.path), p))
	}
	return c, errors.Join(errs...)
}

// path returns the path in the file of a path in the config.
func (s Source) path(path string) string {
	if s.Section == "" || path == "" {
		return s.Section + path
	}
	return s.Section + "." + path
}

// locate returns where the value at path stands.
func (s Source) locate(path string) string { return strictyaml.Locate(s.Name, s.Data, s.path(path)) }

// configLoader reads a config in steps.
type configLoader struct {
	Source
	config    *Config
	overrides []Override
}

// decode reads the file, whose optimizer section depends on the name in it. That is why an unknown name is reported alone.
func (l *configLoader) decode() error {
	if name, ok := strictyaml.Peek(l.Data, l.path("optimizer.name")); ok {
		if err := l.config.Optimizer.use(name); err != nil {
			return fmt.Errorf("%s: optimizer.name: %w", l.locate("optimizer.name"), trimmed(err, "optim: "))
		}
	}
	return strictyaml.DecodeSection(l.Name, l.Data, l.Section, l.config)
}

// rule returns the name of the optimizer that the override asks for, if it does.
func (o Override) rule() (name string, ok bool) {
	switch {
	case o.Key == "optimizer":
		return strictyaml.Peek([]byte(o.Value), "name")
	case o.Key != "optimizer.name":
		return "", false
	case o.YAML:
		return strictyaml.Peek([]byte(o.Value), "")
	}
	return o.Value, true
}

// replaceRule takes up the rule that the last override of the optimizer's name asks for.
func (l *configLoader) replaceRule() error {
	for _, o := range l.overrides {
		name, ok := o.rule()
		if !ok || name == l.config.Optimizer.Name {
			continue
		}
		before := l.config.Optimizer
		if err := l.config.Optimizer.use(name); err != nil {
			return fmt.Errorf("%s: %w", o.place(), trimmed(err, "optim: "))
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
	_, ok := strictyaml.Peek(l.Data, l.path(path))
	return ok
}

func (l *configLoader) override() error {
	var errs []error
	for _, o := range l.overrides {
		errs = append(errs, o.apply(l.config))
	}
	return errors.Join(errs...)
}

// place returns where the value at path was set: by the last override of it or of a part of it, else in the file, or in the nearest
// section around it.
func (l *configLoader) place(path string) string {
	for i := len(l.overrides) - 1; i >= 0; i-- {
		if o := l.overrides[i]; path == o.Key || strings.HasPrefix(path, o.Key+".") || strings.HasPrefix(o.Key, path+".") {
			return o.place()
		}
	}
	for {
		if at := l.locate(path); at != l.Name {
			return at
		}
		dot := strings.LastIndexAny(path, ".[")
		if dot < 0 {
			break
		}
		path = path[:dot]
	}
	if l.Section == "" {
		return l.Name
	}
	return l.locate("")
}

// trimmed returns an error of a lower package without the package's name, for places where the user's file matters.
func trimmed(err error, prefix string) error {
	return errors.New(strings.TrimPrefix(err.Error(), prefix))
}
