package dense

import "sync"

// Pool keeps workspaces for callers that may overlap, as many as ever did. The zero value is ready.
type Pool[T Float] struct {
	mu   sync.Mutex
	idle []*Workspace[T]
}

// Get returns a workspace that nobody else uses.
func (p *Pool[T]) Get() *Workspace[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return w
	}
	return new(Workspace[T])
}

// Put takes a workspace back, with everything that was taken from it.
func (p *Pool[T]) Put(w *Workspace[T]) {
	w.Release(Mark{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
}
