package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// GELU is the Gaussian error linear unit x·Φ(x) (Hendrycks and Gimpel, 2016), with Tanh in its approximation
// x/2·(1 + tanh(√(2/π)(x + 0.044715x³))), which Hugging Face calls gelu_new and gelu_pytorch_tanh. Input: x of any shape.
type GELU struct {
	Tanh bool
}

// SiLU is the sigmoid linear unit x·σ(x), also called swish. Input: x of any shape.
type SiLU struct{}

// ReLU is max(x, 0), with gradient 0 at 0. Input: x of any shape.
type ReLU struct{}

// curve is a function of one variable that is applied to each element.
type curve struct {
	name     string
	value    func(y, x []float32)      // y = f(x); y may be x
	gradient func(dx, dy, x []float32) // dx = dy·f'(x); dx may be dy or x
}

var (
	geluCurve     = curve{"gelu", cpu.GELU.Apply, cpu.GELU.Gradient}
	geluTanhCurve = curve{"gelu_tanh", cpu.GELUTanh.Apply, cpu.GELUTanh.Gradient}
	siluCurve     = curve{"silu", cpu.SiLU.Apply, cpu.SiLU.Gradient}
	reluCurve     = curve{"relu", relu, reluGradient}
)

func relu(y, x []float32) {
	for i, v := range x {
		y[i] = max(v, 0)
	}
}

func reluGradient(dx, dy, x []float32) {
	for i, v := range x {
		if v > 0 {
			dx[i] = dy[i]
		} else {
			dx[i] = 0
		}
	}
}

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
	curveForward.Run(c.Y.Len(), elementGrain, curveArgs{f: f, x: c.X[0].F32, y: c.Y.F32})
}

func (f *curve) backward(c *Call) {
	if c.DX[0] != nil {
		curveBackward.Run(c.DY.Len(), elementGrain, curveArgs{f: f, x: c.X[0].F32, dy: c.DY.F32, dx: c.DX[0].F32})
	}
}

var (
	curveForward  = cpu.NewLoop(func(a *curveArgs, lo, hi int) { a.f.value(a.y[lo:hi], a.x[lo:hi]) })
	curveBackward = cpu.NewLoop(func(a *curveArgs, lo, hi int) { a.f.gradient(a.dx[lo:hi], a.dy[lo:hi], a.x[lo:hi]) })
)
