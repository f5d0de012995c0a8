package kernel

import "sync"

// free is a stack of reusable values, such as a worker's tile buffers. Unlike sync.Pool it never drops one, so that the number of
// allocations is bounded by the largest number in use at once.
type free[T any] struct {
	mu    sync.Mutex
	stack []*T
}

// get returns a value with undefined content.
func (f *free[T]) get() *T {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.stack)
	if n == 0 {
		return new(T)
	}
	v := f.stack[n-1]
	f.stack = f.stack[:n-1]
	return v
}

// put hands a value back.
func (f *free[T]) put(v *T) {
	f.mu.Lock()
	f.stack = append(f.stack, v)
	f.mu.Unlock()
}
