package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// GELU is the Gaussian error linear unit x·Φ(x) (Hendrycks and Gimpel, 2016), with Tanh in its approximation
// x/2·(1 + tanh(√(2/π)(x + 0.044715x³))), which Hugging Face calls gelu_new and gelu_pytorch_tanh. Input: x of any shape.
type GELU struct {
	Tanh bool
}

// SiLU is the sigmoid linear unit x·σ(x), also called swish. Input: x of any shape.
type SiLU struct{}

// ReLU is max(x, 0), with gradient 0 at 0. Input: x of any shape.
type ReLU struct{}

// String returns "gelu" or "gelu_tanh".
func (k GELU) String() string { return k.curve().name }

// String returns "silu".
func (SiLU) String() string { return siluCurve.name }

// String returns "relu".
func (ReLU) String() string { return reluCurve.name }

func (k GELU) curve() *curve {
	if k.Tanh {
		return &geluTanhCurve
	}
	return &geluCurve
}

// Plan checks the input x.
func (k GELU) Plan(in []Spec, need []bool) (Plan, error) { return k.curve().plan(in, need) }

// Plan checks the input x.
func (SiLU) Plan(in []Spec, need []bool) (Plan, error) { return siluCurve.plan(in, need) }

// Plan checks the input x.
func (ReLU) Plan(in []Spec, need []bool) (Plan, error) { return reluCurve.plan(in, need) }

// Forward computes the activation.
func (k GELU) Forward(c *Call) { k.curve().forward(c) }

// Forward computes the activation.
func (SiLU) Forward(c *Call) { siluCurve.forward(c) }

// Forward computes the activation.
func (ReLU) Forward(c *Call) { reluCurve.forward(c) }

// Backward multiplies the gradient by the derivative.
func (k GELU) Backward(c *Call) { k.curve().backward(c) }

// Backward multiplies the gradient by the derivative.
func (SiLU) Backward(c *Call) { siluCurve.backward(c) }

// Backward multiplies the gradient by the derivative.
func (ReLU) Backward(c *Call) { reluCurve.backward(c) }

func (f *curve) plan(in []Spec, need []bool) (Plan, error) {
	if err := checkOperands(f.name, in, need, operand{"x", activation}); err != nil {
		return Plan{}, err
	}
	only := []int{0}
	return Plan{Out: in[0].Shape, ReadsX: only, YOverX: only, DXOverDY: only, DXOverX: only}, nil
}

// curveArgs are the operands of the loops over elements.
type curveArgs struct {
	f            *curve
	x, y, dy, dx []float32
}

func (f *curve) forward(c *Call) {
	curveForward.Run(blocks(c.Y.Len()), 4, curveArgs{f: f, x: c.X[0].F32, y: c.Y.F32})
}

func (f *curve) backward(c *Call) {
	if c.DX[0] != nil {
		curveBackward.Run(blocks(c.DY.Len()), 4, curveArgs{f: f, x: c.X[0].F32, dy: c.DY.F32, dx: c.DX[0].F32})
	}
}

// elementBlock is how many elements are worked on at a time: few enough for the first-level cache.
const elementBlock = 1024

// blocks returns the number of blocks of n elements.
func blocks(n int) int { return (n + elementBlock - 1) / elementBlock }

// elementBuffers hold the value and the derivative of a block, so that results may take the place of operands.
type elementBuffers struct{ value, slope, work [elementBlock]float32 }

var elements free[elementBuffers]

// curveForward runs over blocks of elements.
var curveForward = cpu.NewLoop(func(a *curveArgs, lo, hi int) {
	buf := elements.get()
	defer elements.put(buf)
	for at := lo * elementBlock; at < min(hi*elementBlock, len(a.x)); at += elementBlock {
		x := a.x[at:min(at+elementBlock, len(a.x))]
		a.f.value(buf.value[:len(x)], x, buf.work[:len(x)])
		copy(a.y[at:], buf.value[:len(x)])
	}
})

// curveBackward runs over blocks of elements.
var curveBackward = cpu.NewLoop(func(a *curveArgs, lo, hi int) {
	buf := elements.get()
	defer elements.put(buf)
	for at := lo * elementBlock; at < min(hi*elementBlock, len(a.x)); at += elementBlock {
		x := a.x[at:min(at+elementBlock, len(a.x))]
		a.f.both(buf.value[:len(x)], buf.slope[:len(x)], x, buf.work[:len(x)])
		cpu.Mul(a.dx[at:at+len(x)], a.dy[at:at+len(x)], buf.slope[:len(x)])
	}
})

// curveNamed returns the activation function of a gated unit.
func curveNamed(name string) (*curve, error) {
	for _, f := range []*curve{&siluCurve, &geluCurve, &geluTanhCurve} {
		if f.name == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("unknown activation %q; expected silu, gelu or gelu_tanh", name)
}
