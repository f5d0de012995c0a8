package strictyaml

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/geotune/geotune/internal/names"
)

// field is a struct field that has a key.
type field struct {
	name  string
	value reflect.Value
	omit  bool // Marshal leaves the key out while the value is zero
}

type fields []field

// fieldsOf lists the fields of the struct v in the order of declaration, those of embedded and inline structs in their place.
func fieldsOf(v reflect.Value) fields {
	var out fields
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner, inline := inlined(v.Field(i), option == "inline" || f.Anonymous && name == "")
		switch {
		case name == "-" || (!f.IsExported() && !(inline && f.Anonymous)):
		case inline:
			if inner.IsValid() {
				out = append(out, fieldsOf(inner)...)
			}
		case name == "":
			out = append(out, field{name: strings.ToLower(f.Name), value: v.Field(i)})
		default:
			out = append(out, field{name: name, value: v.Field(i), omit: option == "omitzero"})
		}
	}
	return out
}

// inlined returns the struct that lends its keys to the outer one: the field itself, or what an interface in it points to, which is
// not valid where that is nil or no pointer to a struct.
func inlined(v reflect.Value, wanted bool) (inner reflect.Value, inline bool) {
	switch {
	case wanted && v.Kind() == reflect.Struct:
		return v, true
	case wanted && v.Kind() == reflect.Interface:
		if p := v.Elem(); p.Kind() == reflect.Pointer && p.Elem().Kind() == reflect.Struct {
			inner = p.Elem()
		}
		return inner, true
	}
	return inner, false
}

func (fs fields) find(name string) (field, bool) {
	for _, f := range fs {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (fs fields) names() []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}

// unknownKey explains that key is none of the valid ones.
func unknownKey(key string, valid []string) string {
	hint := names.DidYouMean(key, valid)
	if hint == "" {
		hint = "; valid keys here: " + strings.Join(valid, ", ")
	}
	return "unknown key" + hint
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// clip shortens what is quoted from a hostile file.
func clip(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// standardTag reports whether the node's type is one of YAML's own.
func standardTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq":
		return true
	}
	return false
}

// describeNode names a found value: what kind, and its text.
func describeNode(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!map":
		return "a section of keys"
	case "!!seq":
		return "a list"
	case "!!null":
		return "empty"
	case "!!str":
		return fmt.Sprintf("the text %q", clip(n.Value))
	case "!!int":
		return "the integer " + clip(n.Value)
	case "!!float":
		return "the number " + clip(n.Value)
	}
	return clip(n.Value)
}

// describeType names an expected type in words of the file, not of Go.
func describeType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Int8, reflect.Int16, reflect.Int32:
		limit := int64(1) << (t.Bits() - 1)
		return fmt.Sprintf("an integer from %d to %d", -limit, limit-1)
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return "an integer that is not negative"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("an integer from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a section of keys"
	case reflect.Pointer:
		return describeType(t.Elem())
	}
	return "a value"
}
