package graph

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/geotune/geotune/graph/kernel"
)

// Graph is a computation under construction. Building never stops half way: the first error is kept, later calls return nil
// nodes, and Compile reports it, so that layers read like formulas.
type Graph struct {
	ws     *Workspace
	g      *G.ExprGraph
	train  bool
	shared bool // a checkpointed block, run with the parameters of many layers
	err    error
	nodes  map[*G.Node]*Node
	params map[*Param]*Node
	names  map[string]*Node
	ops    []*fwd   // in order of application; the signature of a checkpointed block
	order  []*Param // parameters in order of first use
	inputs []*Node  // other leaves in order of creation
}

// Node is a value of a Graph: a leaf, the output of a kernel, or a gradient.
type Node struct {
	graph *Graph
	node  *G.Node
	spec  kernel.Spec
	leaf  *kernel.Tensor // what a leaf is bound to at compile time
	needs bool           // a gradient has to reach this node
	label string
}

// Shape returns the node's shape, nil for the nil node of a failed build.
func (n *Node) Shape() kernel.Shape {
	if n == nil {
		return nil
	}
	return n.spec.Shape
}

// Dim returns the extent of axis i, 0 for the nil node.
func (n *Node) Dim(i int) int {
	if n == nil || i >= len(n.spec.Shape) {
		return 0
	}
	return n.spec.Shape[i]
}

// NeedsGrad reports whether a trainable parameter lies at or below the node.
func (n *Node) NeedsGrad() bool { return n != nil && n.needs }

func newGraph(ws *Workspace, train bool) *Graph {
	return &Graph{
		ws: ws, g: G.NewGraph(), train: train,
		nodes: map[*G.Node]*Node{}, params: map[*Param]*Node{}, names: map[string]*Node{},
	}
}

// Training reports whether gradients can be built; an evaluation graph treats every parameter as frozen.
func (g *Graph) Training() bool { return g.train }

// Err returns the first error of the build.
func (g *Graph) Err() error { return g.err }

// Fail records err as the build's error unless there is one already.
func (g *Graph) Fail(err error) {
	if g.err == nil {
		g.err = err
	}
}

// Input adds a leaf that the caller fills before each run: the returned tensor is its memory.
func (g *Graph) Input(name string, dtype kernel.DType, shape ...int) (*Node, *kernel.Tensor) {
	t := &kernel.Tensor{DType: dtype, Shape: append(kernel.Shape{}, shape...)}
	switch dtype {
	case kernel.I32:
		t.I32 = make([]int32, t.Shape.Size())
	case kernel.F32:
		t.F32 = make([]float32, t.Shape.Size())
	default:
		g.Fail(fmt.Errorf("graph: input %q: found type %v, expected F32 or I32", name, dtype))
		return nil, t
	}
	return g.Leaf(name, t), t
}

// Leaf returns the leaf of that name bound to t, adding it on first use. It gets no gradient.
func (g *Graph) Leaf(name string, t *kernel.Tensor) *Node {
	if n := g.names[name]; n != nil && n.leaf == t {
		return n
	}
	return g.addLeaf(name, t, false)
}

// Param returns the leaf of p, adding it on first use.
func (g *Graph) Param(p *Param) *Node {
	if p == nil {
		g.Fail(fmt.Errorf("graph: a layer asked for a nil parameter"))
		return nil
	}
	if n, ok := g.params[p]; ok {
		return n
	}
	if p.Trainable && p.Value.DType != kernel.F32 {
		g.Fail(fmt.Errorf("graph: parameter %s: trainable with storage type %v, expected F32; widen it first", p.Name, p.Value.DType))
		return nil
	}
	n := g.addLeaf(p.Name, p.Value, g.train && p.Trainable)
	if n != nil {
		g.params[p] = n
		g.order = append(g.order, p)
		g.inputs = g.inputs[:len(g.inputs)-1]
	}
	return n
}

func (g *Graph) addLeaf(name string, t *kernel.Tensor, needs bool) *Node {
	if g.err != nil {
		return nil
	}
	if g.names[name] != nil {
		g.Fail(fmt.Errorf("graph: two leaves are named %q; names must be unique", name))
		return nil
	}
	n := &Node{graph: g, spec: t.Spec(), leaf: t, needs: needs, label: name}
	err := guard(func() error {
		n.node = G.NewTensor(g.g, gorgoniaDtype(t.DType), len(t.Shape), G.WithShape(t.Shape...), G.WithName(name))
		return nil
	})
	if err != nil {
		g.Fail(fmt.Errorf("graph: leaf %q of shape %v: %w", name, t.Shape, err))
		return nil
	}
	g.names[name], g.nodes[n.node] = n, n
	g.inputs = append(g.inputs, n)
	return n
}

// Apply adds k(x...) to the graph. A gradient is built later for exactly those inputs below which something is trained.
func (g *Graph) Apply(k kernel.Kernel, x ...*Node) *Node {
	if g.err != nil {
		return nil
	}
	op := &fwd{base: newBase(), k: k, in: x, needs: make([]bool, len(x))}
	specs := make([]kernel.Spec, len(x))
	children := make(G.Nodes, len(x))
	needs := false
	for i, n := range x {
		if n == nil || n.graph != g {
			g.Fail(fmt.Errorf("graph: %s: input %d is nil or belongs to another graph", k, i))
			return nil
		}
		specs[i], children[i], op.needs[i] = n.spec, n.node, n.needs
		needs = needs || n.needs
	}
	var err error
	if op.plan, err = k.Plan(specs, op.needs); err != nil {
		g.Fail(fmt.Errorf("graph: %s: %w", op.label(), err))
		return nil
	}
	op.setType(specs, op.plan.Out)
	n := &Node{graph: g, spec: kernel.Spec{Shape: op.plan.Out}, needs: needs, label: op.label()}
	err = guard(func() (err error) { n.node, err = G.ApplyOp(op, children...); return err })
	if err != nil {
		g.Fail(fmt.Errorf("graph: %s: %w", op.label(), err))
		return nil
	}
	op.out = n
	g.nodes[n.node] = n
	g.ops = append(g.ops, op)
	return n
}

// Gradients returns the gradients of seedᵀ·y with respect to wrt; seed has the shape of y, and dy/dy = 1 is a seed of ones.
// A graph can be differentiated once.
func (g *Graph) Gradients(y, seed *Node, wrt ...*Node) []*Node {
	if g.err != nil {
		return nil
	}
	targets := make(G.Nodes, len(wrt))
	for i, n := range wrt {
		if n == nil || !n.needs {
			g.Fail(fmt.Errorf("graph: gradient %d is asked for a node that nothing trainable depends on", i))
			return nil
		}
		targets[i] = n.node
	}
	var grads G.Nodes
	err := guard(func() (err error) {
		grads, err = G.Backpropagate(G.Nodes{y.node}, G.Nodes{seed.node}, targets)
		return err
	})
	if err != nil {
		g.Fail(fmt.Errorf("graph: differentiate %s: %w", y.label, err))
		return nil
	}
	out := make([]*Node, len(wrt))
	for i, n := range grads {
		out[i] = g.wrap(n, wrt[i].spec.Shape, "gradient of "+wrt[i].label)
	}
	return out
}

// wrap returns the Node of a Gorgonia node that symbolic differentiation made.
func (g *Graph) wrap(n *G.Node, shape kernel.Shape, label string) *Node {
	if w, ok := g.nodes[n]; ok {
		return w
	}
	w := &Node{graph: g, node: n, spec: kernel.Spec{Shape: shape}, label: label}
	g.nodes[n] = w
	return w
}

// Params returns the parameters the graph uses, in order of first use.
func (g *Graph) Params() []*Param { return g.order }

// guard turns a panic inside Gorgonia, which reports many mistakes that way, into an error.
func guard(build func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("gorgonia: %v", r)
		}
	}()
	return build()
}

func gorgoniaDtype(d kernel.DType) tensor.Dtype {
	switch d {
	case kernel.I32:
		return tensor.Int32
	case kernel.F32:
		return tensor.Float32
	}
	return tensor.Uint16
}
