// Package strictyaml decodes configuration files into Go structs without guessing: an unknown or repeated key, a value of the wrong type, a number that does
// not fit are errors with file, line, column, the key's path and, for a mistyped key, the nearest valid ones. All mistakes are reported at once.
//
// Keys are the fields' `yaml:"name"` tags (the lower-cased field name without one, "-" for none); embedded structs and `yaml:",inline"` lend their keys to the
// outer one; an inline interface lends those of the struct it points to, which is filled in place. Fields may be booleans, integers, floats, strings, structs, pointers, slices, arrays, maps with string keys, any, and types with UnmarshalText,
// among them slices, which then are read from one scalar as well as from a list. What a file
// leaves out keeps its value, so that defaults are set before decoding. Of YAML, merge keys ("<<") and own tags ("!x") are refused.
package strictyaml

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Limits on untrusted input. Configurations are far below them.
const (
	maxBytes  = 1 << 20
	maxDepth  = 64
	maxValues = 100_000 // after expanding aliases
	maxErrors = 20
)

// Decode reads one YAML (or JSON) document into the struct, or the map with string keys, that into points to. The error joins all mistakes found, each one beginning
// with "filename:line:column: "; after an error the content of into is not defined.
func Decode(filename string, data []byte, into any) error {
	return DecodeSection(filename, data, "", into)
}

// DecodeSection is Decode for the section at a path of the document, such as "base" or "variants[1].set"; "" is the document itself. A section that is missing is
// an error.
func DecodeSection(filename string, data []byte, section string, into any) error {
	v, err := target(into)
	if err != nil {
		return err
	}
	n, err := parse(filename, data)
	if err != nil {
		return err
	}
	if section != "" {
		if n = descend(n, section); n == nil {
			return fmt.Errorf("%s: section %s is missing", filename, clip(section))
		}
	}
	d := &decoder{place: func(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", filename, n.Line, n.Column) }}
	d.value(n, v, section, 0)
	return errors.Join(d.errs...)
}

// target returns the struct or map that into points to.
func target(into any) (reflect.Value, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct && v.Elem().Kind() != reflect.Map {
		return reflect.Value{}, fmt.Errorf("strictyaml: cannot decode into %T; expected a pointer to a struct or a map", into)
	}
	return v.Elem(), nil
}

// decoder collects mistakes while it fills Go values from nodes.
type decoder struct {
	place   func(n *yaml.Node) string
	errs    []error
	values  int // decoded so far, to stop aliases that multiply
	full    bool
	literal bool // assign takes the value of a text field as it is
}

// fail records a mistake at n; path is the key's path, empty for the whole document.
func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	switch {
	case d.full:
	case len(d.errs) == maxErrors:
		d.full = true
		d.errs = append(d.errs, fmt.Errorf("%s: more mistakes follow; correct these %d first", d.place(n), maxErrors))
	default:
		if path != "" {
			path = clip(path) + ": "
		}
		d.errs = append(d.errs, fmt.Errorf("%s: %s%s", d.place(n), path, fmt.Sprintf(format, args...)))
	}
}

// value decodes n into v, which is settable.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	if d.full {
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.values++; d.values > maxValues {
		d.fail(n, path, "more than %d values; aliases multiply them", maxValues)
		d.full = true
		return
	}
	if depth > maxDepth {
		d.fail(n, path, "nested more than %d deep", maxDepth)
		return
	}
	if !standardTag(n) {
		d.fail(n, path, "tag %s is not supported; remove it", clip(n.Tag))
		return
	}
	if isNull(n) && v.Kind() != reflect.Pointer && v.Kind() != reflect.Interface {
		d.fail(n, path, "is empty, expected %s; give a value or remove the key", describeType(v.Type()))
		return
	}
	if t, ok := textUnmarshaler(v); ok && !(v.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode) {
		d.text(n, t, path)
		return
	}
	d.kind(n, v, path, depth)
}

// kind decodes according to the Go type.
func (d *decoder) kind(n *yaml.Node, v reflect.Value, path string, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		d.pointer(n, v, path, depth)
	case reflect.Struct:
		d.structure(n, v, path, depth)
	case reflect.Map:
		d.mapping(n, v, path, depth)
	case reflect.Slice, reflect.Array:
		d.sequence(n, v, path, depth)
	case reflect.Interface:
		d.generic(n, v, path, depth)
	default:
		d.scalar(n, v, path)
	}
}

// pointer decodes into a copy of what v points to, so that a default shared between structs stays as it is.
func (d *decoder) pointer(n *yaml.Node, v reflect.Value, path string, depth int) {
	if isNull(n) {
		v.SetZero()
		return
	}
	p := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		p.Elem().Set(v.Elem())
	}
	d.value(n, p.Elem(), path, depth)
	v.Set(p)
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, depth int) {
	fields := fieldsOf(v)
	d.entries(n, v, path, func(key, value *yaml.Node) {
		f, ok := fields.find(key.Value)
		if !ok {
			d.fail(key, join(path, key.Value), "%s", unknownKey(key.Value, fields.names()))
			return
		}
		d.value(value, f.value, join(path, key.Value), depth+1)
	})
}

// mapping replaces a map: entries of a default do not linger.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		d.fail(n, path, "the program's type %s is not supported: keys must be strings", t)
		return
	}
	m := reflect.MakeMap(t)
	d.entries(n, v, path, func(key, value *yaml.Node) {
		e := reflect.New(t.Elem()).Elem()
		d.value(value, e, join(path, key.Value), depth+1)
		m.SetMapIndex(reflect.ValueOf(key.Value).Convert(t.Key()), e)
	})
	v.Set(m)
}

// entries calls entry for each key of a mapping, once per distinct one.
func (d *decoder) entries(n *yaml.Node, v reflect.Value, path string, entry func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.mismatch(n, v, path)
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.ShortTag() == "!!merge":
			d.fail(key, path, "merge keys (<<) are not supported; write the keys out")
			continue
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			d.fail(key, path, "key is %s, expected text; put it in quotes", describeNode(key))
			continue
		}
		if was := first[key.Value]; was != nil {
			d.fail(key, join(path, key.Value), "key occurs twice, first in line %d", was.Line)
			continue
		}
		first[key.Value] = key
		entry(key, n.Content[i+1])
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.mismatch(n, v, path)
		return
	}
	if v.Kind() == reflect.Array && v.Len() != len(n.Content) {
		d.fail(n, path, "has %d elements, expected %d", len(n.Content), v.Len())
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	}
	for i, item := range n.Content {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
}

// generic decodes into an any: nil, bool, int, float64, string, []any or map[string]any; uint64 for an integer that no int holds.
func (d *decoder) generic(n *yaml.Node, v reflect.Value, path string, depth int) {
	if v.NumMethod() != 0 {
		d.fail(n, path, "the program's type %s is not supported", v.Type())
		return
	}
	if isNull(n) {
		v.SetZero()
		return
	}
	e := reflect.New(genericType(n)).Elem()
	d.value(n, e, path, depth)
	v.Set(e)
}

func genericType(n *yaml.Node) reflect.Type {
	switch n.ShortTag() {
	case "!!map":
		return reflect.TypeFor[map[string]any]()
	case "!!seq":
		return reflect.TypeFor[[]any]()
	case "!!bool":
		return reflect.TypeFor[bool]()
	case "!!int":
		if u, err := strconv.ParseUint(strings.TrimPrefix(strings.ReplaceAll(n.Value, "_", ""), "+"), 0, 64); err == nil && u > math.MaxInt {
			return reflect.TypeFor[uint64]()
		}
		return reflect.TypeFor[int]()
	case "!!float":
		return reflect.TypeFor[float64]()
	}
	return reflect.TypeFor[string]()
}
