package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// registry holds the constructors of one kind of stage by the "type" that names it in tokenizer.json.
type registry[T any] map[string]func(*loader, json.RawMessage) (T, error)

// loader carries what constructors need: the nesting depth of sequences.
type loader struct{ depth int }

// maxDepth bounds the nesting of sequences; real files have at most two levels.
const maxDepth = 8

// build constructs the stage that raw describes. Null and absent sections give the zero T.
func build[T any](l *loader, kind string, reg registry[T], raw json.RawMessage) (T, error) {
	var zero T
	if isNull(raw) {
		return zero, nil
	}
	var head struct{ Type string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return zero, fmt.Errorf("%s: %w", kind, err)
	}
	construct, ok := reg[head.Type]
	if !ok {
		return zero, fmt.Errorf("%s %q is not supported; supported: %s", kind, head.Type,
			strings.Join(slices.Sorted(maps.Keys(reg)), ", "))
	}
	if l.depth++; l.depth > maxDepth {
		return zero, fmt.Errorf("%s: sequences nested deeper than %d", kind, maxDepth)
	}
	defer func() { l.depth-- }()
	stage, err := construct(l, raw)
	if err != nil {
		return zero, fmt.Errorf("%s %q: %w", kind, head.Type, err)
	}
	return stage, nil
}

// buildAll constructs the members of a sequence, which must not be null.
func buildAll[T any](l *loader, kind string, reg registry[T], raws []json.RawMessage) ([]T, error) {
	stages := make([]T, 0, len(raws))
	for _, raw := range raws {
		if isNull(raw) {
			return nil, fmt.Errorf("%s: null in a sequence", kind)
		}
		stage, err := build(l, kind, reg, raw)
		if err != nil {
			return nil, err
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
