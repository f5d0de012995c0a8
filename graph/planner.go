package graph

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	G "gorgonia.org/gorgonia"

	"github.com/geotune/geotune/graph/kernel"
)

// always is the last use of values that outlive the run.
const always = math.MaxInt

// planner turns the part of a graph that the outputs need into steps with lifetimes and buffers.
type planner struct {
	g       *Graph
	values  map[*G.Node]*value
	leaves  map[*Node]*value
	picks   map[*vjp][]*G.Node
	forward map[*fwd]*step
	steps   []*step
	buffers []*buffer
	outputs []*value
}

func newPlanner(g *Graph) *planner {
	return &planner{
		g: g, values: map[*G.Node]*value{}, leaves: map[*Node]*value{},
		picks: map[*vjp][]*G.Node{}, forward: map[*fwd]*step{},
	}
}

func (p *planner) plan(outputs []Output) error {
	for i, o := range outputs {
		if o.Node == nil || o.Node.node.Op() == nil {
			return fmt.Errorf("graph: output %d is not a computed node", i)
		}
	}
	nodes := needed(outputs)
	for _, n := range nodes {
		if op, ok := n.Op().(*pick); ok {
			p.picks[op.v] = append(p.picks[op.v], n)
		}
	}
	for _, n := range nodes {
		if err := p.addNode(n); err != nil {
			return err
		}
	}
	if err := p.pin(outputs); err != nil {
		return err
	}
	p.lifetimes()
	p.assign()
	return nil
}

// needed walks back from the outputs along what each operation really reads and returns the nodes in order of creation, which
// is topological.
func needed(outputs []Output) []*G.Node {
	seen := map[*G.Node]bool{}
	var nodes []*G.Node
	var walk func(n *G.Node)
	walk = func(n *G.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		nodes = append(nodes, n)
		for _, d := range dependencies(n) {
			walk(d)
		}
	}
	for _, o := range outputs {
		walk(o.Node.node)
	}
	slices.SortFunc(nodes, func(a, b *G.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	return nodes
}

// dependencies returns the children of n whose values are read; a vjp often needs fewer than it has.
func dependencies(n *G.Node) []*G.Node {
	children := childrenOf(n)
	v, ok := n.Op().(*vjp)
	if !ok {
		return children
	}
	in := len(v.f.in)
	deps := []*G.Node{children[in+1]}
	for i := range v.f.in {
		if v.f.in[i].leaf != nil || slices.Contains(v.f.plan.ReadsX, i) {
			deps = append(deps, children[i])
		}
	}
	if v.f.plan.ReadsY || v.f.plan.Saved > 0 {
		deps = append(deps, children[in])
	}
	return deps
}

// childrenOf returns the inputs of a node in order.
func childrenOf(n *G.Node) []*G.Node {
	if n.Op() == nil {
		return nil
	}
	var out []*G.Node
	for it := n.Graph().From(n.ID()); it.Next(); {
		out = append(out, it.Node().(*G.Node))
	}
	return out
}

func (p *planner) addNode(n *G.Node) error {
	switch op := n.Op().(type) {
	case nil:
		leaf := p.g.nodes[n]
		if leaf == nil {
			return fmt.Errorf("graph: leaf %s was not made by this graph", n.Name())
		}
		header := *leaf.leaf
		p.values[n] = &value{spec: leaf.spec, tensor: &header, last: always}
		p.leaves[leaf] = p.values[n]
	case *fwd:
		p.addForward(n, op)
	case *vjp:
		p.addBackward(n, op)
	case *pick: // its value was made with the vjp
	default:
		return p.addSum(n)
	}
	return nil
}

func (p *planner) addForward(n *G.Node, op *fwd) {
	s := &step{label: p.label(op), kind: op.k.String(), k: op.k, plan: op.plan}
	for _, in := range op.in {
		v := p.values[in.node]
		s.reads = append(s.reads, v)
		s.call.X = append(s.call.X, v.tensor)
	}
	v := p.define(s, n, op.plan.Out)
	s.call.Y = v.tensor
	s.saved = p.buffer(op.plan.Saved, len(p.steps))
	s.scratch = p.buffer(op.plan.ForwardScratch, len(p.steps))
	p.forward[op] = s
	p.steps = append(p.steps, s)
}

func (p *planner) addBackward(n *G.Node, op *vjp) {
	f, children := op.f, childrenOf(n)
	s := &step{label: "gradient of " + p.label(f), kind: f.k.String(), k: f.k, plan: f.plan, backward: true}
	s.call.DX = make([]*kernel.Tensor, len(f.in))
	for i, in := range f.in {
		v := p.values[in.node]
		if v == nil { // neither read nor computed any more
			s.call.X = append(s.call.X, &kernel.Tensor{Shape: in.spec.Shape, DType: in.spec.DType})
			continue
		}
		s.call.X = append(s.call.X, v.tensor)
		if slices.Contains(f.plan.ReadsX, i) {
			s.reads = append(s.reads, v)
		}
	}
	s.call.Y = &kernel.Tensor{Shape: f.plan.Out}
	if y := p.values[children[len(f.in)]]; y != nil {
		s.call.Y = y.tensor
		if f.plan.ReadsY {
			s.reads = append(s.reads, y)
		}
	}
	dy := p.values[children[len(f.in)+1]]
	s.call.DY = dy.tensor
	s.reads = append(s.reads, dy)
	for _, pn := range p.picks[op] {
		i := pn.Op().(*pick).i
		s.call.DX[i] = p.define(s, pn, f.in[i].spec.Shape).tensor
	}
	if fs := p.forward[f]; fs != nil && fs.saved != nil {
		s.saved = fs.saved
		s.saved.hi = len(p.steps)
	}
	s.scratch = p.buffer(f.plan.BackwardScratch, len(p.steps))
	p.steps = append(p.steps, s)
}

// addSum plans the addition that Gorgonia inserts where several gradients meet.
func (p *planner) addSum(n *G.Node) error {
	children := childrenOf(n)
	if !strings.HasPrefix(fmt.Sprint(n.Op()), "+") || len(children) != 2 {
		return fmt.Errorf("graph: stock operation %v has no kernel; only sums of gradients are expected", n.Op())
	}
	a, b := p.values[children[0]], p.values[children[1]]
	k := kernel.Add{}
	plan, err := k.Plan([]kernel.Spec{a.spec, b.spec}, make([]bool, 2))
	if err != nil {
		return fmt.Errorf("graph: sum of gradients: %w", err)
	}
	const name = "sum of gradients"
	s := &step{label: name, kind: name, k: k, gradient: true, plan: plan, reads: []*value{a, b}}
	s.call.X = []*kernel.Tensor{a.tensor, b.tensor}
	s.call.Y = p.define(s, n, plan.Out).tensor
	p.steps = append(p.steps, s)
	return nil
}

// label names an operation, without a parameter where the program serves many.
func (p *planner) label(op *fwd) string {
	if p.g.shared {
		return op.k.String()
	}
	return op.label()
}

// define makes the value of node n, written by s.
func (p *planner) define(s *step, n *G.Node, shape kernel.Shape) *value {
	v := &value{spec: kernel.Spec{Shape: shape}, tensor: &kernel.Tensor{Shape: shape}}
	p.values[n] = v
	s.writes = append(s.writes, v)
	return v
}

// buffer reserves working memory for step at; nil when none is wanted.
func (p *planner) buffer(size, at int) *buffer {
	if size == 0 {
		return nil
	}
	b := &buffer{size: size, lo: at, hi: at}
	p.buffers = append(p.buffers, b)
	return b
}
