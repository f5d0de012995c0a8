package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// GLU is the gated linear unit Act(gate)·up (Shazeer, "GLU Variants Improve Transformer", 2020): SwiGLU with Act "silu", GeGLU with
// "gelu" or "gelu_tanh". Inputs: gate and up of the same shape, which is that of the output.
type GLU struct {
	Act string
}

// String returns "glu".
func (GLU) String() string { return "glu" }

// Plan checks the activation's name and the inputs gate and up.
func (k GLU) Plan(in []Spec, need []bool) (Plan, error) {
	if _, ok := gates[k.Act]; !ok {
		return Plan{}, fmt.Errorf("glu: unknown activation %q; expected silu, gelu or gelu_tanh", k.Act)
	}
	if err := checkOperands("glu", in, need, operand{"gate", activation}, operand{"up", activation}); err != nil {
		return Plan{}, err
	}
	if !in[1].Shape.Equal(in[0].Shape) {
		return Plan{}, fmt.Errorf("glu: gate has shape %v and up %v; expected the same", in[0].Shape, in[1].Shape)
	}
	all := []int{0, 1}
	return Plan{Out: in[0].Shape, ReadsX: all, YOverX: all, DXOverDY: all, DXOverX: all}, nil
}

// gates are the activations by name.
var gates = map[string]cpu.Activation{"silu": cpu.SiLU, "gelu": cpu.GELU, "gelu_tanh": cpu.GELUTanh}

// gluArgs are the operands of the loops over elements.
type gluArgs struct {
	f                           cpu.Activation
	gate, up, y, dy, dgate, dup []float32
}

// Forward computes act(gate)·up.
func (k GLU) Forward(c *Call) {
	gluForward.Run(c.Y.Len(), elementGrain, gluArgs{f: gates[k.Act], gate: c.X[0].F32, up: c.X[1].F32, y: c.Y.F32})
}

var gluForward = cpu.NewLoop(func(a *gluArgs, lo, hi int) { a.f.Gate(a.y[lo:hi], a.gate[lo:hi], a.up[lo:hi]) })

// Backward computes dgate = dy·up·act'(gate) and dup = dy·act(gate).
func (k GLU) Backward(c *Call) {
	a := gluArgs{f: gates[k.Act], gate: c.X[0].F32, up: c.X[1].F32, dy: c.DY.F32}
	if c.DX[0] != nil {
		a.dgate = c.DX[0].F32
	}
	if c.DX[1] != nil {
		a.dup = c.DX[1].F32
	}
	gluBackward.Run(len(a.dy), elementGrain, a)
}

var gluBackward = cpu.NewLoop(func(a *gluArgs, lo, hi int) {
	a.f.GateGradient(stretch(a.dgate, lo, hi), stretch(a.dup, lo, hi), a.dy[lo:hi], a.gate[lo:hi], a.up[lo:hi])
})

// stretch returns elements [lo, hi) of a result, nil if it is not wanted.
func stretch(result []float32, lo, hi int) []float32 {
	if result == nil {
		return nil
	}
	return result[lo:hi]
}
