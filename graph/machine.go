package graph

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/geotune/geotune/graph/kernel"
)

// Output asks a Machine for a node's value after each run.
type Output struct {
	Node *Node
	// Into receives the value; nil lets the machine allocate it. Add adds the value to Into instead of overwriting it, which
	// is how gradients accumulate over micro-batches.
	Into *kernel.Tensor
	Add  bool
}

// Machine runs the part of a graph that its outputs need. It implements gorgonia.VM. All intermediate values live in the
// workspace's arena, so another machine of the same workspace destroys them; outputs have memory of their own.
type Machine struct {
	ws         *Workspace
	arena      *arena
	generation int
	size       int
	steps      []*step
	leaves     map[*Node]*value
	outputs    []*value
}

var _ G.VM = (*Machine)(nil)

// Compile plans the steps and the memory for the given outputs. It reports the first error of the graph's construction.
func (g *Graph) Compile(outputs ...Output) (*Machine, error) { return g.compile(&g.ws.outer, outputs) }

func (g *Graph) compile(a *arena, outputs []Output) (*Machine, error) {
	if g.err != nil {
		return nil, g.err
	}
	p := newPlanner(g)
	if err := p.plan(outputs); err != nil {
		return nil, err
	}
	m := &Machine{ws: g.ws, arena: a, generation: -1, size: place(p.buffers), steps: p.steps, outputs: p.outputs, leaves: p.leaves}
	a.reserve(m.size)
	return m, nil
}

// Bind makes a leaf refer to t from the next run on, without a copy. Shape and type must be those of the leaf.
func (m *Machine) Bind(leaf *Node, t *kernel.Tensor) error {
	v, ok := m.leaves[leaf]
	if !ok {
		return nil // the outputs do not depend on it
	}
	if !t.Shape.Equal(v.spec.Shape) || t.DType != v.spec.DType {
		return fmt.Errorf("graph: bind %s: found %v %v, expected %v %v", leaf.label, t.DType, t.Shape, v.spec.DType, v.spec.Shape)
	}
	*v.tensor = *t
	return nil
}

// Output returns the tensor of output i; its content changes with every run.
func (m *Machine) Output(i int) *kernel.Tensor { return m.outputs[i].tensor }

// unbind lets go of what leaves and outputs are bound to, until they are bound again.
func (m *Machine) unbind() {
	for _, v := range m.leaves {
		v.tensor.F32 = nil
	}
	for _, v := range m.outputs {
		v.tensor.F32 = nil
	}
}

// bindOutput makes output i use the memory of t.
func (m *Machine) bindOutput(i int, t *kernel.Tensor) { m.outputs[i].tensor.F32 = t.F32 }

// ArenaBytes returns the size of the plan: the memory of all intermediate values.
func (m *Machine) ArenaBytes() int64 { return 4 * int64(m.size) }

// Steps returns the number of kernel passes of a run.
func (m *Machine) Steps() int { return len(m.steps) }

// RunAll executes the graph on the present content of its leaves. A panic inside a kernel becomes an error naming the node.
func (m *Machine) RunAll() (err error) {
	if m.generation != m.arena.generation {
		m.attach()
	}
	var s *step
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("graph: %s: %v", s.label, r)
		}
	}()
	if m.ws.Trace != nil {
		m.runTraced(m.ws.Trace, &s)
		return nil
	}
	for _, s = range m.steps {
		s.run()
	}
	return nil
}

// Reset does nothing: a run depends on the leaves alone. It is part of gorgonia.VM.
func (m *Machine) Reset() {}

// Close lets go of the workspace's arena, so that a machine that is not needed any more can be collected. It is part of gorgonia.VM.
func (m *Machine) Close() error {
	m.arena.tenants = slices.DeleteFunc(m.arena.tenants, func(t *Machine) bool { return t == m })
	m.detach()
	return nil
}

// attach points every value at its place in the arena.
func (m *Machine) attach() {
	for _, s := range m.steps {
		s.attach(m.arena.mem)
	}
	m.generation = m.arena.generation
	m.arena.tenants = append(m.arena.tenants, m)
}

// detach lets go of the arena's memory until the next run.
func (m *Machine) detach() {
	m.generation = -1
	for _, s := range m.steps {
		s.detach()
	}
}
