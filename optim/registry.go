package optim

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/geotune/geotune/internal/names"
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
	return v, fmt.Errorf("optim: %s", names.Unknown(r.kind, name, r.names()))
}

func (r *registry[T]) names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.m))
}
