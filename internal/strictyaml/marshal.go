package strictyaml

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Marshal writes v as YAML that [Decode] reads back to an equal value: every field, defaults too, in the order of declaration; maps by key; floats in the shortest
// form that gives the same bits (1e-4, not 0.0001000001); lists of scalars in one line. A field with the option omitzero, as in `yaml:"name,omitzero"`, is left out
// while it is zero: a setting that does not apply.
func Marshal(v any) ([]byte, error) {
	n, err := encode(reflect.ValueOf(v), "", 0)
	if err != nil {
		return nil, fmt.Errorf("strictyaml: marshal %T: %w", v, err)
	}
	out, err := yaml.Dump(n, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("strictyaml: marshal %T: %w", v, err)
	}
	return out, nil
}

// Inline writes v in one line, as an override has it: true, 1e-4, [a, b], {name: x}. Text has quotes only where YAML would read something else, so that [SetYAML] reads
// it back.
func Inline(v any) (string, error) {
	n, err := encode(reflect.ValueOf(v), "", 0)
	if err != nil {
		return "", fmt.Errorf("strictyaml: write %T: %w", v, err)
	}
	if n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	out, err := yaml.Dump(n, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return "", fmt.Errorf("strictyaml: write %T: %w", v, err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

func scalarNode(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

// encode builds the node of v; path leads errors to the field.
func encode(v reflect.Value, path string, depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: nested more than %d deep", clip(path), maxDepth)
	}
	if v.IsValid() && v.Kind() != reflect.Pointer && v.Kind() != reflect.Interface {
		if t, ok := v.Interface().(encoding.TextMarshaler); ok {
			text, err := t.MarshalText()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return encodeString(string(text), path)
		}
	}
	switch v.Kind() {
	case reflect.Invalid:
		return scalarNode("!!null", "null"), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return scalarNode("!!null", "null"), nil
		}
		return encode(v.Elem(), path, depth)
	case reflect.Struct:
		return encodeStruct(v, path, depth)
	case reflect.Map:
		return encodeMap(v, path, depth)
	case reflect.Slice, reflect.Array:
		return encodeList(v, path, depth)
	}
	return encodeScalar(v, path)
}

func encodeScalar(v reflect.Value, path string) (*yaml.Node, error) {
	switch {
	case v.Kind() == reflect.Bool:
		return scalarNode("!!bool", strconv.FormatBool(v.Bool())), nil
	case v.CanInt():
		return scalarNode("!!int", strconv.FormatInt(v.Int(), 10)), nil
	case v.CanUint():
		return scalarNode("!!int", strconv.FormatUint(v.Uint(), 10)), nil
	case v.CanFloat():
		return scalarNode("!!float", formatFloat(v.Float(), v.Type().Bits())), nil
	case v.Kind() == reflect.String:
		return encodeString(v.String(), path)
	}
	return nil, fmt.Errorf("%s: the type %s is not supported", path, v.Type())
}

func encodeString(s, path string) (*yaml.Node, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%s: %q is not valid UTF-8", path, s)
	}
	n := scalarNode("!!str", s)
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || !strconv.IsPrint(r) }) {
		n.Style = yaml.DoubleQuotedStyle // escapes what a block would lose
	}
	if oldBool(s) != "" {
		n.Style = yaml.SingleQuotedStyle // Python's YAML would read a boolean
	}
	return n, nil
}

func encodeStruct(v reflect.Value, path string, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, f := range fieldsOf(v) {
		if f.omit && f.value.IsZero() {
			continue
		}
		value, err := encode(f.value, join(path, f.name), depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, scalarNode("!!str", f.name), value)
	}
	return n, nil
}

func encodeMap(v reflect.Value, path string, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	keys := v.MapKeys()
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%s: the type %s is not supported: keys must be strings", path, v.Type())
	}
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		key, err := encodeString(k.String(), path)
		if err != nil {
			return nil, err
		}
		value, err := encode(v.MapIndex(k), join(path, k.String()), depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, key, value)
	}
	return n, nil
}

func encodeList(v reflect.Value, path string, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for i := range v.Len() {
		item, err := encode(v.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
		if err != nil {
			return nil, err
		}
		if item.Kind != yaml.ScalarNode {
			n.Style = 0
		}
		n.Content = append(n.Content, item)
	}
	return n, nil
}

// formatFloat writes the shortest decimal that reads back to the same float of that many bits, always recognisable as a float: 0.5, 2.0, 1e-4, 3e6.
func formatFloat(f float64, bits int) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return ".nan"
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	case abs != 0 && (abs < 1e-3 || abs >= 1e6):
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, bits), "e")
		sign := strings.TrimPrefix(exponent[:1], "+")
		return mantissa + "e" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	s := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
