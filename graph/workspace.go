package graph

// Workspace is the memory that several graphs share: one arena for their machines, one for the blocks they recompute, and the
// compiled blocks themselves. Only one of its machines may run at a time; machines of different workspaces are independent.
type Workspace struct {
	// Trace, when set, is told the time of every kernel pass.
	Trace Trace

	outer, inner arena
	blocks       map[string]*blockProgram
}

// NewWorkspace returns an empty workspace.
func NewWorkspace() *Workspace { return &Workspace{blocks: map[string]*blockProgram{}} }

// NewGraph starts a graph that can be differentiated.
func (w *Workspace) NewGraph() *Graph { return newGraph(w, true) }

// NewEvalGraph starts a graph without gradients.
func (w *Workspace) NewEvalGraph() *Graph { return newGraph(w, false) }

// Bytes returns the size of the arenas.
func (w *Workspace) Bytes() int64 { return 4 * int64(len(w.outer.mem)+len(w.inner.mem)) }

// arena is one allocation in which the values of machines are placed. It only grows, and then its machines move in anew.
type arena struct {
	mem        []float32
	generation int
	tenants    []*Machine // that refer to mem
}

func (a *arena) reserve(floats int) {
	if floats <= len(a.mem) {
		return
	}
	for _, m := range a.tenants {
		m.detach()
	}
	a.mem, a.tenants = nil, nil // so that the collector can have the old memory before the new is taken
	a.mem = make([]float32, floats)
	a.generation++
}
