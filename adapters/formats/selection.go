package formats

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// AllLinear is the pattern that selects every linear layer except the output head.
const AllLinear = "all-linear"

// Selection says which modules of a model are meant, as PEFT's target_modules and exclude_modules do: in a file or config it is
// either a list of names, each of which selects the module of that name and all modules whose path ends in "."+name, or a single
// string, a regular expression that has to match the whole path (or [AllLinear]). The zero Selection selects nothing.
type Selection struct {
	Names   []string
	Pattern string
}

// IsZero reports whether the selection is empty.
func (s Selection) IsZero() bool { return len(s.Names) == 0 && s.Pattern == "" }

// AllLinear reports whether the selection is the pattern all-linear, in any case of letters.
func (s Selection) AllLinear() bool { return strings.EqualFold(s.Pattern, AllLinear) }

// Equal reports whether both select by the same names, in whatever order, or by the same pattern.
func (s Selection) Equal(t Selection) bool {
	return s.Pattern == t.Pattern && slices.Equal(slices.Sorted(slices.Values(s.Names)), slices.Sorted(slices.Values(t.Names)))
}

// String returns the selection as a config would spell it.
func (s Selection) String() string {
	if s.Pattern != "" {
		return s.Pattern
	}
	return "[" + strings.Join(s.Names, ", ") + "]"
}

// Value returns what JSON and YAML hold: a string, a list of strings, or nil.
func (s Selection) Value() any {
	switch {
	case s.Pattern != "":
		return s.Pattern
	case s.Names != nil:
		return s.Names
	}
	return nil
}

// MarshalJSON writes a string, a list or null.
func (s Selection) MarshalJSON() ([]byte, error) { return json.Marshal(s.Value()) }

// UnmarshalJSON reads a string, a list of strings or null.
func (s *Selection) UnmarshalJSON(text []byte) error {
	*s = Selection{}
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, &s.Pattern)
	}
	return json.Unmarshal(text, &s.Names)
}
