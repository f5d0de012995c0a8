package graph

import (
	"fmt"
	"strings"

	"github.com/geotune/geotune/graph/kernel"
)

// Checkpoint adds build(x...) as one node whose inner values are not kept for the backward pass but computed again there: memory
// of one block instead of all, for about one more forward pass. Blocks of the same structure (the layers of a model) share one
// compiled program and one arena; their parameters are bound anew for each call. In an evaluation graph it is just build(x...).
func (g *Graph) Checkpoint(build func(g *Graph, x []*Node) *Node, x ...*Node) *Node {
	if g.err != nil {
		return nil
	}
	if !g.train {
		return build(g, x)
	}
	inner := newGraph(g.ws, true)
	inner.shared = true
	leaves := make([]*Node, len(x))
	for i, n := range x {
		if n == nil {
			g.Fail(fmt.Errorf("graph: checkpoint: input %d is nil", i))
			return nil
		}
		leaves[i] = inner.addLeaf(fmt.Sprintf("input%d", i), &kernel.Tensor{Shape: n.spec.Shape, DType: n.spec.DType}, n.needs)
	}
	y := build(inner, leaves)
	if inner.err != nil {
		g.Fail(inner.err)
		return nil
	}
	args := append([]*Node{}, x...)
	for _, p := range inner.order {
		args = append(args, g.Param(p))
		leaves = append(leaves, inner.params[p])
	}
	for _, extra := range inner.inputs[len(x):] {
		args = append(args, g.Leaf(extra.label, extra.leaf))
		leaves = append(leaves, extra)
	}
	program, err := g.ws.block(inner, leaves, y)
	if err != nil {
		g.Fail(err)
		return nil
	}
	return g.Apply(&block{program}, args...)
}

// blockProgram is a compiled block: one machine for the output, one for all gradients including the recomputation.
type blockProgram struct {
	leaves        []*Node
	y, dy         *Node
	forward, back *Machine
	gradient      []int // index into leaves of each output of back
	unwanted      []*kernel.Tensor
}

// block returns the program for the inner graph, compiling it when no block of the same structure was compiled before.
func (w *Workspace) block(inner *Graph, leaves []*Node, y *Node) (*blockProgram, error) {
	key := signature(inner, leaves, y)
	if p, ok := w.blocks[key]; ok {
		return p, nil
	}
	p := &blockProgram{leaves: leaves, y: y}
	var err error
	if p.forward, err = inner.compile(&w.inner, []Output{{Node: y}}); err != nil {
		return nil, err
	}
	var wrt []*Node
	for i, n := range leaves {
		if n.needs {
			p.gradient, wrt = append(p.gradient, i), append(wrt, n)
		}
	}
	if len(wrt) > 0 {
		p.dy = inner.Leaf("dy", kernel.New(y.spec.Shape...))
		var outputs []Output
		for _, n := range inner.Gradients(y, p.dy, wrt...) {
			outputs = append(outputs, Output{Node: n})
		}
		if p.back, err = inner.compile(&w.inner, outputs); err != nil {
			return nil, err
		}
		for i := range outputs {
			own := *p.back.Output(i) // keeps the memory when the output is bound to other
			p.unwanted = append(p.unwanted, &own)
		}
	}
	w.blocks[key] = p
	return p, nil
}

// signature describes the structure of a block: equal signatures mean equal programs.
func signature(g *Graph, leaves []*Node, y *Node) string {
	var b strings.Builder
	index := map[*Node]int{}
	for _, n := range leaves {
		index[n] = len(index)
		fmt.Fprintf(&b, "%v %v %v\n", n.spec.DType, n.spec.Shape, n.needs)
	}
	for _, op := range g.ops {
		index[op.out] = len(index)
		fmt.Fprintf(&b, "%T %+v", op.k, op.k)
		for _, n := range op.in {
			fmt.Fprintf(&b, " %d", index[n])
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "-> %d", index[y])
	return b.String()
}

// block is the kernel of a checkpointed block.
type block struct{ program *blockProgram }

func (b *block) String() string { return "checkpoint" }

// Plan implements kernel.Kernel.
func (b *block) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	p := kernel.Plan{Out: b.program.y.spec.Shape}
	for i := range in {
		p.ReadsX = append(p.ReadsX, i)
	}
	return p, nil
}

// Forward implements kernel.Kernel.
func (b *block) Forward(c *kernel.Call) {
	m := b.program.forward
	b.bind(m, c)
	m.bindOutput(0, c.Y)
	must(m.RunAll())
	m.unbind()
}

// Backward implements kernel.Kernel.
func (b *block) Backward(c *kernel.Call) {
	m := b.program.back
	b.bind(m, c)
	must(m.Bind(b.program.dy, c.DY))
	for out, in := range b.program.gradient {
		dst := c.DX[in]
		if dst == nil {
			dst = b.program.unwanted[out]
		}
		m.bindOutput(out, dst)
	}
	must(m.RunAll())
	m.unbind()
}

func (b *block) bind(m *Machine, c *kernel.Call) {
	for i, n := range b.program.leaves {
		must(m.Bind(n, c.X[i]))
	}
}

// must re-raises an inner machine's error; the outer machine turns it into one that names the block.
func must(err error) {
	if err != nil {
		panic(strings.TrimPrefix(err.Error(), "graph: "))
	}
}
