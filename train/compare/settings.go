package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/geotune/geotune/internal/strictyaml"
	"github.com/geotune/geotune/train"
)

// setting is one value of a training config, such as a comparison changes.
type setting struct {
	key   string // its path in the training config
	value any    // as strictyaml decodes it
	path  string // where it stands in the file of the comparison
}

// flatten returns the leaves of a section in the order of their keys, so that {optimizer: {name: muon}} and {optimizer.name: muon} are
// the same.
func flatten(at string, set map[string]any) []setting {
	var out []setting
	for _, key := range slices.Sorted(maps.Keys(set)) {
		path := at + "." + key
		if section, ok := set[key].(map[string]any); ok && len(section) > 0 {
			for _, s := range flatten(path, section) {
				out = append(out, setting{key + "." + s.key, s.value, s.path})
			}
			continue
		}
		out = append(out, setting{key, set[key], path})
	}
	return out
}

// settings returns the leaves of a training config.
func settings(name, text string) ([]setting, error) {
	var all map[string]any
	if err := strictyaml.Decode(name, []byte(text), &all); err != nil {
		return nil, err
	}
	return flatten("", all), nil
}

// String returns the setting as --set takes it, where a text needs no quotes.
func (s setting) String() string {
	if text, ok := s.value.(string); ok {
		return s.key + "=" + text
	}
	return s.key + "=" + s.yaml()
}

// yaml returns the value in one line.
func (s setting) yaml() string {
	text, err := strictyaml.Inline(s.value)
	if err != nil {
		panic(err) // it was decoded
	}
	return text
}

// overrides returns the leaves of the section at path with their places. They mean what they mean in a training config: a number is no
// text, and one in quotes is no number.
func (s source) overrides(path string, set map[string]any) []train.Override {
	var out []train.Override
	for _, l := range flatten(path, set) {
		out = append(out, train.Override{Key: l.key, Value: l.yaml(), YAML: true, Place: s.place(l.path)})
	}
	return out
}

// shared returns what all variants change in the base: the section set, then the overrides in their order.
func (s source) shared(c *Config) []train.Override {
	out := s.overrides("set", c.Set)
	for i, text := range c.Overrides {
		key, value, _ := strings.Cut(text, "=") // that there is one is checked
		o := train.Override{Key: key, Value: value, Place: s.place(overridePath(i))}
		if i >= len(c.Overrides)-s.added {
			o.Place = "--set set." + text
		}
		out = append(out, o)
	}
	return out
}

func overridePath(i int) string { return fmt.Sprintf("overrides[%d]", i) }

// keys returns the key of an override, or those of the settings in it if it gives a whole section.
func keys(o train.Override) []string {
	section, err := settings("", o.Value)
	if err != nil || len(section) == 0 {
		return []string{o.Key}
	}
	var out []string
	for _, l := range section {
		out = append(out, o.Key+"."+l.key)
	}
	return out
}
