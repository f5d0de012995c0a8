package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Add is y = a + b for operands of one shape: the residual connection.
type Add struct{}

// String returns "add".
func (Add) String() string { return "add" }

// GradIsDY reports that both gradients are DY.
func (Add) GradIsDY() bool { return true }

// Plan checks the inputs a and b.
func (Add) Plan(in []Spec, need []bool) (Plan, error) {
	if err := checkOperands("add", in, need, operand{"a", activation}, operand{"b", activation}); err != nil {
		return Plan{}, err
	}
	if err := checkShape("add", "b", in[1].Shape, in[0].Shape...); err != nil {
		return Plan{}, err
	}
	return Plan{Out: in[0].Shape, YOverX: []int{0, 1}, DXOverDY: []int{0, 1}}, nil
}

// Forward computes a + b.
func (Add) Forward(c *Call) { add(c.Y, c.X[0], c.X[1]) }

// Backward copies DY, for hosts that do not hand it through.
func (Add) Backward(c *Call) {
	for _, dx := range c.DX {
		if dx != nil {
			copy(dx.F32, c.DY.F32)
		}
	}
}

// AddTo adds src to dst, which must have as many elements; another number is a programmer error and panics.
func AddTo(dst, src *Tensor) {
	if len(dst.F32) != len(src.F32) {
		panic(fmt.Sprintf("kernel: add %v to %v", src.Shape, dst.Shape))
	}
	add(dst, dst, src)
}

// addArgs are the operands of addLoop.
type addArgs struct{ y, a, b []float32 }

func add(y, a, b *Tensor) {
	addLoop.Run(len(y.F32), elementGrain, addArgs{y.F32, a.F32, b.F32})
}

var addLoop = cpu.NewLoop(func(a *addArgs, lo, hi int) { cpu.Add(a.y[lo:hi], a.a[lo:hi], a.b[lo:hi]) })
