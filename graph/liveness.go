package graph

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/geotune/geotune/graph/kernel"
)

// pin gives the outputs memory outside the arena, or appends the step that adds them to it.
func (p *planner) pin(outputs []Output) error {
	for i, o := range outputs {
		v := p.values[o.Node.node]
		into := o.Into
		if into == nil {
			into = kernel.New(v.spec.Shape...)
		}
		if !into.Shape.Equal(v.spec.Shape) || into.DType != kernel.F32 {
			return fmt.Errorf("graph: output %d (%s): found a destination of %v %v, expected F32 %v", i, o.Node.label, into.DType, into.Shape, v.spec.Shape)
		}
		if o.Add || v.last == always {
			p.outputs = append(p.outputs, &value{spec: v.spec, tensor: into})
			p.addOutput(v, into, o.Add)
			continue
		}
		v.last = always
		v.tensor.F32 = into.F32
		p.outputs = append(p.outputs, v)
	}
	return nil
}

// addOutput appends a step that brings v into a tensor of the caller after the step that defines it: at once, so that v's memory is
// free again.
func (p *planner) addOutput(v *value, into *kernel.Tensor, add bool) {
	var k kernel.Kernel = accumulate{}
	if !add {
		k = duplicate{}
	}
	s := &step{label: k.String(), kind: k.String(), k: k, gradient: add, reads: []*value{v}}
	s.call.X, s.call.Y = []*kernel.Tensor{v.tensor}, into
	for at, def := range p.steps {
		if slices.Contains(def.writes, v) {
			p.insert(at+1, s)
			return
		}
	}
	p.steps = append(p.steps, s) // v is a leaf
}

// insert puts s before step at and moves the lifetimes of the working memory behind it.
func (p *planner) insert(at int, s *step) {
	p.steps = slices.Insert(p.steps, at, s)
	for _, b := range p.buffers {
		if b.lo >= at {
			b.lo++
		}
		if b.hi >= at {
			b.hi++
		}
	}
}

// lifetimes notes for every value the last step that reads it.
func (p *planner) lifetimes() {
	for at, s := range p.steps {
		for _, v := range s.writes {
			v.last = max(v.last, at)
		}
		for _, v := range s.reads {
			v.last = max(v.last, at)
		}
	}
}

// assign gives every value that is neither leaf nor output a buffer, in place of an operand where the kernel allows it and nobody
// reads that operand later.
func (p *planner) assign() {
	for at, s := range p.steps {
		for _, v := range s.writes {
			if v.last == always {
				continue
			}
			if b := s.inPlace(v, at); b != nil {
				b.hi, b.holder, v.buf = max(b.hi, v.last), v, b
				continue
			}
			v.buf = p.buffer(v.spec.Shape.Size(), at)
			v.buf.hi, v.buf.holder = v.last, v
		}
	}
}

// inPlace returns the buffer of an operand that v, written by s at step at, may take over.
func (s *step) inPlace(v *value, at int) *buffer {
	if !s.backward {
		for _, i := range s.plan.YOverX {
			if b := dying(s, s.call.X[i], v, at); b != nil {
				return b
			}
		}
		return nil
	}
	for i, dx := range s.call.DX {
		if dx != v.tensor {
			continue
		}
		if slices.Contains(s.plan.DXOverDY, i) {
			if b := dying(s, s.call.DY, v, at); b != nil {
				return b
			}
		}
		if slices.Contains(s.plan.DXOverX, i) {
			return dying(s, s.call.X[i], v, at)
		}
	}
	return nil
}

// dying returns the buffer of the operand t of s if step at is the last to read it and v fits exactly.
func dying(s *step, t *kernel.Tensor, v *value, at int) *buffer {
	for _, r := range s.reads {
		if r.tensor == t && r.buf != nil && r.buf.holder == r && r.last == at && r.buf.size == v.spec.Shape.Size() {
			return r.buf
		}
	}
	return nil
}

// place gives every buffer an offset such that buffers with overlapping lifetimes do not overlap: the biggest first, each in the
// lowest gap that fits. It returns the size of the arena in floats.
func place(buffers []*buffer) int {
	const align = 16 // floats: one cache line
	order := slices.Clone(buffers)
	slices.SortStableFunc(order, func(a, b *buffer) int { return cmp.Compare(b.size, a.size) })
	var placed []*buffer // by offset
	total := 0
	for _, b := range order {
		off := 0
		for _, q := range placed {
			if q.lo > b.hi || q.hi < b.lo {
				continue
			}
			if off+b.size <= q.off {
				break
			}
			off = max(off, (q.off+q.size+align-1)/align*align)
		}
		b.off = off
		at, _ := slices.BinarySearchFunc(placed, b, func(a, b *buffer) int { return cmp.Compare(a.off, b.off) })
		placed = slices.Insert(placed, at, b)
		total = max(total, off+b.size)
	}
	return total
}
