package dense

// Workspace hands out scratch matrices. It keeps its memory, so that a computation that was done once allocates nothing when done
// again. It is not safe for concurrent use; [Pool] keeps some for callers that overlap. The zero value is ready.
type Workspace[T Float] struct {
	thin  arena[T]
	small arena[float64]
}

// Mark is a state of a workspace to return to.
type Mark struct{ thin, small int }

// Mark returns the present state. A function that takes scratch memory starts with
//
//	defer w.Release(w.Mark())
func (w *Workspace[T]) Mark() Mark { return Mark{w.thin.used, w.small.used} }

// Release takes back all matrices that were handed out since m.
func (w *Workspace[T]) Release(m Mark) {
	w.thin.release(m.thin)
	w.small.release(m.small)
}

// Mat returns a zero matrix that is valid until it is released.
func (w *Workspace[T]) Mat(rows, cols int) Mat[T] { return Of(w.thin.take(rows*cols), rows, cols) }

// Core returns a zero core that is valid until it is released.
func (w *Workspace[T]) Core(rows, cols int) Core { return Of(w.small.take(rows*cols), rows, cols) }

// Values returns a zero vector that is valid until it is released.
func (w *Workspace[T]) Values(n int) []float64 { return w.small.take(n) }

// arena hands out memory in the order of a stack.
type arena[E any] struct {
	block      []E
	used, peak int // elements handed out, those that did not fit into the block included
}

func (a *arena[E]) take(n int) []E {
	from := a.used
	a.used += n
	a.peak = max(a.peak, a.used)
	if a.used > len(a.block) {
		return make([]E, n)
	}
	s := a.block[from:a.used:a.used]
	clear(s)
	return s
}

// release returns to an earlier state and, when all is given back, makes the block as large as it should have been.
func (a *arena[E]) release(to int) {
	a.used = to
	if to == 0 && a.peak > len(a.block) {
		a.block = make([]E, a.peak)
	}
}
