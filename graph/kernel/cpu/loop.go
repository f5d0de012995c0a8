package cpu

// Loop is a parallel loop whose body receives its operands as a struct instead of capturing them, so that running it allocates nothing
// once as many runs as ever overlap have been made.
type Loop[A any] struct {
	body func(a *A, lo, hi int)
	idle free[loopRun[A]]
}

// NewLoop returns the loop over body, which handles the iterations [lo, hi).
func NewLoop[A any](body func(a *A, lo, hi int)) *Loop[A] { return &Loop[A]{body: body} }

// Run executes n iterations in chunks of grain, as Parallel does. The body must not depend on how the chunks are spread over workers.
func (l *Loop[A]) Run(n, grain int, args A) {
	r := l.idle.get()
	r.body, r.args = l.body, args
	parallel(n, grain, r)
	var none A
	r.args = none // keep no operand alive
	l.idle.put(r)
}

// loopRun is one execution of a loop.
type loopRun[A any] struct {
	body func(a *A, lo, hi int)
	args A
}

func (r *loopRun[A]) run(lo, hi int) { r.body(&r.args, lo, hi) }
