package optim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// registry maps names from config files to constructors.
type registry[T any] struct {
	kind string // what the names denote, for errors
	mu   sync.RWMutex
	m    map[string]T
}

func newRegistry[T any](kind string) *registry[T] { return &registry[T]{kind: kind, m: map[string]T{}} }

func (r *registry[T]) add(name string, v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.m[name]; taken || name == "" {
		panic(fmt.Sprintf("optim: %s %q is empty or registered twice", r.kind, name))
	}
	r.m[name] = v
}

func (r *registry[T]) get(name string) (T, error) {
	r.mu.RLock()
	v, ok := r.m[name]
	r.mu.RUnlock()
	if ok {
		return v, nil
	}
	known := r.names()
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return v, fmt.Errorf("optim: unknown %s %q; known are %s%s", r.kind, name, strings.Join(known, ", "), hint)
}

func (r *registry[T]) names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.m))
}

// nearest returns the candidate with the fewest edits from name, "" if even that is off by more than half of the name.
func nearest(name string, candidates []string) string {
	best, bestDist := "", (len(name)+1)/2+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(name), c); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// editDistance is the number of insertions, deletions and replacements of bytes between a and b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
