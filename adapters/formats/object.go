package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// object is a JSON object that is taken apart key by key, so that what nobody asked for can be refused by name.
type object struct {
	fields map[string]json.RawMessage
	taken  []string
	err    error // the first wrong type
}

// parseObject reads the JSON object that is the whole of text. A key that occurs twice is an error.
func parseObject(text []byte) (*object, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("is not a JSON object"), err)
	}
	o := &object{fields: map[string]json.RawMessage{}}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("found %v where a key was expected", t)
		}
		if _, dup := o.fields[key]; dup {
			return nil, fmt.Errorf("key %q occurs twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		o.fields[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("has text after the JSON object")
	}
	return o, nil
}

// take reads the value of key; an absent key or null is missing.
func take[T any](o *object, key string, missing T) T {
	o.taken = append(o.taken, key)
	raw, ok := o.fields[key]
	if !ok || string(raw) == "null" {
		return missing
	}
	var value T
	if err := json.Unmarshal(raw, &value); err != nil {
		o.fail(key, fmt.Sprintf("of type %T", value))
		return missing
	}
	return value
}

// takeList reads a value that may be one element or a list of them.
func takeList[T any](o *object, key string) []T {
	switch raw := string(o.fields[key]); {
	case raw == "" || raw == "null" || raw == `""`:
		o.ignore(key)
		return nil
	case raw[0] == '[':
		return take[[]T](o, key, nil)
	}
	var zero T
	return []T{take(o, key, zero)}
}

// fail records that key holds something else than expected.
func (o *object) fail(key, expected string) {
	if o.err == nil {
		o.err = fmt.Errorf("key %q is %s, expected a value %s", key, short(o.fields[key]), expected)
	}
}

// ignore marks keys as understood, whatever they hold.
func (o *object) ignore(keys ...string) { o.taken = append(o.taken, keys...) }

// finish reports the first wrong type, or the keys that nobody took and that are not neutral.
func (o *object) finish() error {
	if o.err != nil {
		return o.err
	}
	for _, key := range slices.Sorted(maps.Keys(o.fields)) {
		if raw := o.fields[key]; !slices.Contains(o.taken, key) && !neutral(raw) {
			slices.Sort(o.taken)
			return fmt.Errorf("key %q is %s; geotune does not support it and accepts it only as null, false, 0 or empty (supported: %s)",
				key, short(raw), strings.Join(o.taken, ", "))
		}
	}
	return nil
}

// neutral tells whether a value switches nothing on.
func neutral(raw json.RawMessage) bool {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return false
	}
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// short is a JSON value for an error message.
func short(raw json.RawMessage) string {
	const limit = 80
	text := strings.Join(strings.Fields(string(raw)), " ")
	if len(text) > limit {
		return text[:limit] + "..."
	}
	return text
}
