package strictyaml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Set changes one value of the struct that into points to, as a command-line override: Set(&config, "optimizer.lr", "1e-4"). The value is YAML, so that
// lists are written [a, b]; for a text field it is taken literally. Sections that are nil pointers are created. Below a map of scalars the rest of the path is the key, dots included.
func Set(into any, path, value string) error { return set(into, path, value, true) }

// SetYAML is Set for a value that stood in a file: it is YAML for a text field too, so that a number in the place of a text is refused, as is one in quotes in the
// place of a number.
func SetYAML(into any, path, value string) error { return set(into, path, value, false) }

func set(into any, path, value string, literal bool) error {
	v, err := target(into)
	if err != nil {
		return err
	}
	place := fmt.Sprintf("%s=%s", clip(path), clip(value))
	d := &decoder{place: func(*yaml.Node) string { return place }, literal: literal}
	d.set(v, path, "", value)
	return errors.Join(d.errs...)
}

// set follows path from v, which is reached by the path done.
func (d *decoder) set(v reflect.Value, path, done, value string) {
	if path == "" {
		d.assign(v, value)
		return
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			p.Elem().Set(v.Elem())
		}
		d.set(p.Elem(), path, done, value)
		v.Set(p)
		return
	}
	key, rest, _ := strings.Cut(path, ".")
	switch v.Kind() {
	case reflect.Struct:
		fields := fieldsOf(v)
		f, ok := fields.find(key)
		if !ok {
			d.fail(nil, join(done, key), "%s", unknownKey(key, fields.names()))
			return
		}
		d.set(f.value, rest, join(done, key), value)
	case reflect.Map:
		if holdsScalars(v.Type()) {
			key, rest = path, ""
		}
		d.setEntry(v, key, rest, join(done, key), value)
	default:
		d.fail(nil, done, "has no keys, it is %s", describeType(v.Type()))
	}
}

func holdsScalars(t reflect.Type) bool {
	switch t.Elem().Kind() {
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return false
	}
	return true
}

// setEntry changes one entry of a copy of the map v, so that a default shared between structs stays as it is.
func (d *decoder) setEntry(v reflect.Value, key, rest, done, value string) {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		d.fail(nil, done, "the program's type %s is not supported: keys must be strings", t)
		return
	}
	m, k, e := reflect.MakeMap(t), reflect.ValueOf(key).Convert(t.Key()), reflect.New(t.Elem()).Elem()
	for it := v.MapRange(); it.Next(); {
		m.SetMapIndex(it.Key(), it.Value())
	}
	if old := m.MapIndex(k); old.IsValid() {
		e.Set(old)
	}
	d.set(e, rest, done, value)
	m.SetMapIndex(k, e)
	v.Set(m)
}

// assign decodes the text of a value into v.
func (d *decoder) assign(v reflect.Value, value string) {
	t := v.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	_, own := textUnmarshaler(reflect.New(t).Elem())
	if d.literal && (t.Kind() == reflect.String || own && t.Kind() != reflect.Slice) {
		d.value(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}, v, "", 0)
		return
	}
	n, err := parse(d.place(nil), []byte(value))
	if err != nil {
		d.errs = append(d.errs, err)
		return
	}
	d.value(n, v, "", 0)
}
