package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Add is y = a + b of two tensors of the same shape: the residual connection. Its gradients are dy itself.
type Add struct{}

// String implements Kernel.
func (Add) String() string { return "add" }

// GradIsDY implements SelfGrad.
func (Add) GradIsDY() bool { return true }

// Plan implements Kernel.
func (Add) Plan(in []Spec, need []bool) (Plan, error) {
	if err := checkOperands("add", in, need, operand{"a", activation}, operand{"b", activation}); err != nil {
		return Plan{}, err
	}
	if !in[0].Shape.Equal(in[1].Shape) {
		return Plan{}, fmt.Errorf("add: shapes %v and %v differ", in[0].Shape, in[1].Shape)
	}
	return Plan{Out: in[0].Shape, YOverX: []int{0, 1}, DXOverDY: []int{0}}, nil
}

type addArgs struct{ y, a, b []float32 }

var addLoop = newLoop(func(p *addArgs, lo, hi int) { cpu.Add(p.y[lo:hi], p.a[lo:hi], p.b[lo:hi]) })

// addGrain is the number of elements of a parallel chunk: enough to be worth a hand-over, little enough to stay in cache.
const addGrain = 1 << 14

// Forward implements Kernel.
func (Add) Forward(c *Call) {
	addLoop.run(len(c.Y.F32), addGrain, addArgs{c.Y.F32, c.X[0].F32, c.X[1].F32})
}

// Backward implements Kernel; a host that knows SelfGrad never calls it.
func (Add) Backward(c *Call) {
	for _, dx := range c.DX {
		if dx != nil {
			copy(dx.F32, c.DY.F32)
		}
	}
}

// AddTo adds src to dst, which have the same shape.
func AddTo(dst, src *Tensor) {
	addLoop.run(len(dst.F32), addGrain, addArgs{dst.F32, dst.F32, src.F32})
}
