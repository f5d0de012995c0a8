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
	if _, err := curveNamed(k.Act); err != nil {
		return Plan{}, fmt.Errorf("glu: %w", err)
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

// gluArgs are the operands of the loops over elements.
type gluArgs struct {
	f                           *curve
	gate, up, y, dy, dgate, dup []float32
}

// args collects the operands that both passes have in common. Plan has checked the name.
func (k GLU) args(c *Call) gluArgs {
	f, err := curveNamed(k.Act)
	if err != nil {
		panic(err)
	}
	return gluArgs{f: f, gate: c.X[0].F32, up: c.X[1].F32}
}

// Forward computes act(gate)·up.
func (k GLU) Forward(c *Call) {
	a := k.args(c)
	a.y = c.Y.F32
	gluForward.Run(blocks(len(a.y)), 4, a)
}

// gluForward runs over blocks of elements.
var gluForward = cpu.NewLoop(func(a *gluArgs, lo, hi int) {
	buf := elements.get()
	defer elements.put(buf)
	for at := lo * elementBlock; at < min(hi*elementBlock, len(a.gate)); at += elementBlock {
		end := min(at+elementBlock, len(a.gate))
		act := buf.value[:end-at]
		a.f.value(act, a.gate[at:end], buf.work[:end-at])
		y, up := a.y[at:end], a.up[at:end]
		for i, v := range act {
			y[i] = v * up[i]
		}
	}
})

// Backward computes dgate = dy·up·act'(gate) and dup = dy·act(gate).
func (k GLU) Backward(c *Call) {
	a := k.args(c)
	a.dy = c.DY.F32
	if c.DX[0] != nil {
		a.dgate = c.DX[0].F32
	}
	if c.DX[1] != nil {
		a.dup = c.DX[1].F32
	}
	gluBackward.Run(blocks(len(a.dy)), 4, a)
}

// gluBackward runs over blocks of elements.
var gluBackward = cpu.NewLoop(func(a *gluArgs, lo, hi int) {
	buf := elements.get()
	defer elements.put(buf)
	for at := lo * elementBlock; at < min(hi*elementBlock, len(a.gate)); at += elementBlock {
		end := min(at+elementBlock, len(a.gate))
		n := end - at
		act, slope := buf.value[:n], buf.slope[:n]
		a.f.both(act, slope, a.gate[at:end], buf.work[:n])
		dy, up := a.dy[at:end], a.up[at:end]
		for i, g := range dy { // both products before any write: the results may lie over dy and up
			slope[i] *= g * up[i]
			act[i] *= g
		}
		if a.dgate != nil {
			copy(a.dgate[at:end], slope)
		}
		if a.dup != nil {
			copy(a.dup[at:end], act)
		}
	}
})
