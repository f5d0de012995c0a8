package formats

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/dlclark/regexp2"
)

// Regexp matches as Python's re.fullmatch does. It is safe for concurrent use.
type Regexp struct {
	fast *regexp.Regexp
	full *regexp2.Regexp // for look-arounds and back references, which package regexp lacks
}

// maxMatch bounds the time of one match of a pattern that may take exponential time.
const maxMatch = time.Second

// CompileRegexp prepares a Python regular expression.
func CompileRegexp(pattern string) (*Regexp, error) {
	anchored := `\A(?:` + pattern + `)\z`
	fast, err := regexp.Compile(anchored)
	if err == nil {
		return &Regexp{fast: fast}, nil
	}
	full, err2 := regexp2.Compile(anchored, regexp2.RE2) // which also knows (?P<name>...)
	if err2 != nil {
		return nil, fmt.Errorf("formats: regular expression %q: %w", pattern, err)
	}
	full.MatchTimeout = maxMatch
	return &Regexp{full: full}, nil
}

// Match reports whether the pattern matches the whole of s. A match that takes too long counts as none.
func (r *Regexp) Match(s string) bool {
	if r.fast != nil {
		return r.fast.MatchString(s)
	}
	ok, err := r.full.MatchString(s)
	return ok && err == nil
}

// Patterns gives values to modules by PEFT's rank_pattern and alpha_pattern: a key is a regular expression for the whole path of a
// module or for its end after a dot. Where several keys match, the lexically first one counts, which is the order that PEFT reads
// from the sorted config it writes.
type Patterns[T any] struct {
	keys   []string
	match  []*Regexp
	values map[string]T
}

// maxPatterns bounds the number of compiled expressions; the largest models have some thousand modules.
const maxPatterns = 20_000

// NewPatterns prepares the keys of values.
func NewPatterns[T any](values map[string]T) (*Patterns[T], error) {
	if len(values) > maxPatterns {
		return nil, fmt.Errorf("has %d patterns, over the limit of %d", len(values), maxPatterns)
	}
	p := &Patterns[T]{keys: slices.Sorted(maps.Keys(values)), values: values}
	for _, key := range p.keys {
		re, err := CompileRegexp(`(?:.*\.)?(?:` + key + `)`)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", key, err)
		}
		p.match = append(p.match, re)
	}
	return p, nil
}

// Lookup returns the value for a module, and the key it stands under.
func (p *Patterns[T]) Lookup(module string, missing T) (value T, key string) {
	for i, re := range p.match {
		if re.Match(module) {
			return p.values[p.keys[i]], p.keys[i]
		}
	}
	return missing, ""
}
