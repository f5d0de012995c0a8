package kernel

import (
	"sync"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// loop is a parallel loop whose body receives its operands as a struct instead of capturing them, so that running it allocates
// nothing once as many runs as ever overlap have been made.
type loop[A any] struct {
	body func(a *A, lo, hi int)
	idle free[loopRun[A]]
}

// loopRun is one execution of a loop: the operands, and the closure over them that the worker pool calls.
type loopRun[A any] struct {
	args A
	call func(lo, hi int)
}

// newLoop returns the loop over body, which handles the iterations [lo, hi).
func newLoop[A any](body func(a *A, lo, hi int)) *loop[A] { return &loop[A]{body: body} }

// run executes n iterations in chunks of grain. The body must not depend on how the chunks are spread over workers.
func (l *loop[A]) run(n, grain int, args A) {
	r := l.idle.get()
	if r.call == nil {
		r.call = func(lo, hi int) { l.body(&r.args, lo, hi) }
	}
	r.args = args
	cpu.Parallel(n, grain, r.call)
	var none A
	r.args = none // keep no tensor alive
	l.idle.put(r)
}

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
