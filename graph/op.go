package graph

import (
	"fmt"
	"hash"
	"hash/fnv"
	"strings"
	"sync/atomic"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/geotune/geotune/graph/kernel"
)

var lastID atomic.Uint64

// base is what the three operation types share. Gorgonia merges nodes of equal hash, so each operation hashes an id of its own.
type base struct {
	id  uint64
	typ []hm.Type // types of the children, then of the output
	out *Node
}

func newBase() base { return base{id: lastID.Add(1)} }

// setType fixes the concrete type, which makes mixed element types (ids, 16-bit weights) need no type variables.
func (b *base) setType(in []kernel.Spec, out kernel.Shape) {
	b.typ = b.typ[:0]
	for _, s := range in {
		b.typ = append(b.typ, G.TensorType{Dims: len(s.Shape), Of: gorgoniaDtype(s.DType)})
	}
	b.typ = append(b.typ, G.TensorType{Dims: len(out), Of: tensor.Float32})
}

func (b *base) Arity() int            { return len(b.typ) - 1 }
func (b *base) Type() hm.Type         { return hm.NewFnType(b.typ...) } // fresh each time: Gorgonia recycles it
func (b *base) ReturnsPtr() bool      { return true }
func (b *base) CallsExtern() bool     { return false }
func (b *base) OverwritesInput() int  { return -1 }
func (b *base) WriteHash(h hash.Hash) { fmt.Fprintf(h, "geotune#%d", b.id) }
func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

// fwd computes the output of a kernel.
type fwd struct {
	base
	k     kernel.Kernel
	in    []*Node
	needs []bool
	plan  kernel.Plan
	call  *kernel.Call // memory of Do, which only a TapeMachine calls
}

// label names the operation for people: the kind and the first parameter it uses.
func (f *fwd) label() string {
	for _, n := range f.in {
		if n != nil && n.leaf != nil && strings.Contains(n.label, ".") {
			return fmt.Sprintf("%s(%s)", f.k, n.label)
		}
	}
	return f.k.String()
}

func (f *fwd) String() string { return f.label() }
func (f *fwd) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return append(tensor.Shape{}, f.plan.Out...), nil
}

// DiffWRT tells Gorgonia for which inputs a gradient exists.
func (f *fwd) DiffWRT(int) []bool { return f.needs }

// SymDiff adds one vjp node that computes all wanted gradients and a pick node for each of them.
func (f *fwd) SymDiff(x G.Nodes, y, dy *G.Node) (G.Nodes, error) {
	grads := make(G.Nodes, len(x))
	if s, ok := f.k.(kernel.SelfGrad); ok && s.GradIsDY() {
		for i, need := range f.needs {
			if need {
				grads[i] = dy
			}
		}
		return grads, nil
	}
	v := &vjp{base: newBase(), f: f}
	specs := make([]kernel.Spec, 0, len(x)+2)
	for _, n := range f.in {
		specs = append(specs, n.spec)
	}
	out := kernel.Spec{Shape: f.plan.Out}
	v.setType(append(specs, out, out), f.plan.Out)
	node, err := G.ApplyOp(v, append(append(G.Nodes{}, x...), y, dy)...)
	if err != nil {
		return nil, fmt.Errorf("differentiate %s: %w", f, err)
	}
	for i, need := range f.needs {
		if !need {
			continue
		}
		p := &pick{base: newBase(), v: v, i: i}
		p.setType([]kernel.Spec{out}, f.in[i].spec.Shape)
		if grads[i], err = G.ApplyOp(p, node); err != nil {
			return nil, fmt.Errorf("differentiate %s: %w", f, err)
		}
	}
	return grads, nil
}

// vjp computes the gradients of one kernel's inputs. Its children are x..., y, dy.
type vjp struct {
	base
	f    *fwd
	call *kernel.Call
}

func (v *vjp) String() string { return "gradient of " + v.f.label() }
func (v *vjp) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return append(tensor.Shape{}, v.f.plan.Out...), nil
}

// pick hands out gradient i of a vjp.
type pick struct {
	base
	v *vjp
	i int
}

func (p *pick) String() string { return fmt.Sprintf("%s, input %d", p.v, p.i) }
func (p *pick) InferShape(...G.DimSizer) (tensor.Shape, error) {
	return append(tensor.Shape{}, p.v.f.in[p.i].spec.Shape...), nil
}
