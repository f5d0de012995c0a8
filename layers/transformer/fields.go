package transformer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// required is the default of a field that has to be present.
const required = math.MinInt

// fields reads the members of a JSON object and keeps the first error, so that a parser reads like a list of fields. A member that is
// null counts as absent, as in Python.
type fields struct {
	file   string // for errors
	prefix string // path of the object within the file, "" or e.g. "rope_scaling."
	raw    map[string]json.RawMessage
	err    error
}

func (f *fields) failf(name, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("transformer: %s: field %s: %s", f.file, f.prefix+name, fmt.Sprintf(format, args...))
	}
}

// reject records that a field has a value other than expected.
func (f *fields) reject(name, expected string) {
	f.failf(name, "found %s, expected %s", f.text(name), expected)
}

// text returns the member as it stands in the file, shortened.
func (f *fields) text(name string) string {
	const limit = 60
	s, ok := f.raw[name]
	switch {
	case !ok:
		return "nothing"
	case len(s) > limit:
		return string(s[:limit]) + "..."
	}
	return string(s)
}

// has reports whether the member is present and not null.
func (f *fields) has(name string) bool {
	s, ok := f.raw[name]
	return ok && string(s) != "null"
}

// integer returns a member from lo to hi.
func (f *fields) integer(name string, def, lo, hi int) int {
	if !f.has(name) {
		if def == required {
			f.reject(name, fmt.Sprintf("an integer from %d to %d", lo, hi))
		}
		return def
	}
	v, err := strconv.ParseInt(string(f.raw[name]), 10, 64)
	if err != nil || v < int64(lo) || v > int64(hi) {
		f.reject(name, fmt.Sprintf("an integer from %d to %d", lo, hi))
		return def
	}
	return int(v)
}

// window returns sliding_window: def where it is absent, 0 where it is null.
func (f *fields) window(def int) int {
	if _, ok := f.raw["sliding_window"]; ok {
		def = 0
	}
	return f.integer("sliding_window", def, 1, maxPositions)
}

// number returns a finite member from lo to hi.
func (f *fields) number(name string, def, lo, hi float64) float64 {
	if !f.has(name) {
		return def
	}
	var v float64
	if err := json.Unmarshal(f.raw[name], &v); err != nil || !(v >= lo && v <= hi) {
		f.reject(name, fmt.Sprintf("a number from %g to %g", lo, hi))
		return def
	}
	return v
}

func (f *fields) boolean(name string, def bool) bool {
	if !f.has(name) {
		return def
	}
	var v bool
	if err := json.Unmarshal(f.raw[name], &v); err != nil {
		f.reject(name, "true or false")
	}
	return v
}

// choice returns a string member that is one of the allowed ones.
func (f *fields) choice(name, def string, allowed ...string) string {
	if !f.has(name) {
		return def
	}
	v := f.str(name)
	if f.err == nil && !slices.Contains(allowed, v) {
		f.reject(name, "one of "+strings.Join(allowed, ", "))
	}
	return v
}

// str returns a string member, "" when it is absent.
func (f *fields) str(name string) string {
	if !f.has(name) {
		return ""
	}
	var v string
	if err := json.Unmarshal(f.raw[name], &v); err != nil {
		f.reject(name, "a string")
	}
	return v
}

// strings returns a member that is a list of at most limit strings.
func (f *fields) strings(name string, limit int) []string {
	if !f.has(name) {
		return nil
	}
	var v []string
	if err := json.Unmarshal(f.raw[name], &v); err != nil || len(v) > limit {
		f.reject(name, fmt.Sprintf("a list of at most %d strings", limit))
		return nil
	}
	return v
}

// ids returns a member that is a token id or a list of them; ids outside the vocabulary, such as -1 for none, are dropped.
func (f *fields) ids(name string, vocab int) []int32 {
	if !f.has(name) {
		return nil
	}
	var list []int32
	if json.Unmarshal(f.raw[name], &list) != nil {
		var one int32
		if json.Unmarshal(f.raw[name], &one) != nil {
			f.reject(name, "a token id or a list of token ids")
			return nil
		}
		list = []int32{one}
	}
	return slices.DeleteFunc(list, func(id int32) bool { return id < 0 || int(id) >= vocab })
}

// object returns the members of a nested object, nil when it is absent.
func (f *fields) object(name string) *fields {
	if !f.has(name) {
		return nil
	}
	sub := &fields{file: f.file, prefix: f.prefix + name + "."}
	if err := json.Unmarshal(f.raw[name], &sub.raw); err != nil {
		f.reject(name, "an object")
		return nil
	}
	return sub
}

// neutral reports whether a member is absent or switches nothing on: null, false, zero or empty.
func (f *fields) neutral(name string) bool {
	switch strings.Join(strings.Fields(string(f.raw[name])), "") {
	case "", "null", "false", "0", "0.0", `""`, "[]", "{}":
		return true
	}
	return false
}
