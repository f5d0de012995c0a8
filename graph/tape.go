package graph

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/geotune/geotune/graph/kernel"
)

// The Do methods below make a graph runnable by Gorgonia's own machines too; the tests run TapeMachine as an oracle for Machine.
// They keep their buffers in the operation, because TapeMachine forgets registers between runs.

// Do implements gorgonia.Op.
func (f *fwd) Do(values ...G.Value) (v G.Value, err error) {
	defer trap(f, &err)
	if f.call == nil {
		f.call = &kernel.Call{Y: kernel.New(f.plan.Out...), Saved: make([]float32, f.plan.Saved)}
	}
	f.call.Scratch = make([]float32, f.plan.ForwardScratch)
	if f.call.X, err = operands(values, f.in); err != nil {
		return nil, err
	}
	f.k.Forward(f.call)
	return dense(f.call.Y), nil
}

// Do implements gorgonia.Op. It returns dy, which nobody reads: the gradients are fetched by the picks.
func (v *vjp) Do(values ...G.Value) (out G.Value, err error) {
	defer trap(v, &err)
	n := len(v.f.in)
	if v.call == nil {
		v.call = &kernel.Call{Y: v.f.call.Y, Saved: v.f.call.Saved, DX: make([]*kernel.Tensor, n)}
		for i, need := range v.f.needs {
			if need {
				v.call.DX[i] = kernel.New(v.f.in[i].spec.Shape...)
			}
		}
	}
	v.call.Scratch = make([]float32, v.f.plan.BackwardScratch)
	if v.call.X, err = operands(values[:n], v.f.in); err != nil {
		return nil, err
	}
	dy, err := operand(values[n+1], kernel.Spec{Shape: v.f.plan.Out})
	if err != nil {
		return nil, err
	}
	v.call.DY = dy
	v.f.k.Backward(v.call)
	return values[n+1], nil
}

// Do implements gorgonia.Op.
func (p *pick) Do(...G.Value) (G.Value, error) { return dense(p.v.call.DX[p.i]), nil }

func operands(values []G.Value, in []*Node) ([]*kernel.Tensor, error) {
	out := make([]*kernel.Tensor, len(in))
	for i, n := range in {
		t, err := operand(values[i], n.spec)
		if err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		out[i] = t
	}
	return out, nil
}

func operand(v G.Value, spec kernel.Spec) (*kernel.Tensor, error) {
	t := &kernel.Tensor{DType: spec.DType, Shape: spec.Shape}
	switch data := v.Data().(type) {
	case []float32:
		t.F32 = data
	case float32: // Gorgonia unwraps one-element tensors
		t.F32 = []float32{data}
	case []int32:
		t.I32 = data
	case int32:
		t.I32 = []int32{data}
	case []uint16:
		t.U16 = data
	default:
		return nil, fmt.Errorf("found a %T, expected float32, int32 or uint16 values", data)
	}
	return t, nil
}

func dense(t *kernel.Tensor) G.Value {
	var backing any = t.F32
	switch t.DType {
	case kernel.I32:
		backing = t.I32
	case kernel.BF16, kernel.F16:
		backing = t.U16
	}
	return tensor.New(tensor.WithShape(t.Shape...), tensor.WithBacking(backing))
}

// trap turns a panic of a kernel into an error that names the operation.
func trap(op fmt.Stringer, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: %v", op, r)
	}
}
