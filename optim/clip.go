package optim

import (
	"fmt"
	"math"
)

// clipEps is the constant torch.nn.utils.clip_grad_norm_ adds to the norm.
const clipEps = 1e-6

// NonFiniteError reports a gradient that holds a NaN or an infinity, or whose norm is not finite though its elements are.
type NonFiniteError struct {
	Step   int64  // the step that was not taken, from 1
	Tensor string // name of the first such tensor, or of the point with such a norm
	Index  int    // of its first such element, -1 for a norm
	Value  float32
}

// Error names the step, the tensor and the element.
func (e *NonFiniteError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("optim: step %d: the norm of the gradient of %q is not finite though the gradient is; lower the learning rate", e.Step, e.Tensor)
	}
	return fmt.Sprintf("optim: step %d: gradient of %q is %v at element %d; lower the learning rate or clip gradients",
		e.Step, e.Tensor, e.Value, e.Index)
}

// gradNorm returns the norm of all gradients together, summed in float64 in the order of the points.
func (o *Optimizer) gradNorm() (float64, error) {
	tangent, _ := o.rule.(TangentNormer)
	var sum float64
	for i := range o.units {
		u := &o.units[i]
		if u.frozen() {
			continue
		}
		sq := 0.0
		if tensors := u.point.Tensors(); tangent != nil && len(tensors) > 1 {
			sq = tangent.SquaredNorm(u.point, u.state)
		} else {
			for _, t := range tensors {
				if t.Grad != nil {
					sq += o.sumSquares(t.Grad.F32)
				}
			}
		}
		// Squares of finite float32 values cannot overflow a float64 sum.
		if math.IsNaN(sq) || math.IsInf(sq, 0) {
			return 0, o.locateNonFinite(u.point)
		}
		sum += sq
	}
	return math.Sqrt(sum), nil
}

// locateNonFinite finds the element that spoilt the norm of p.
func (o *Optimizer) locateNonFinite(p Point) error {
	for _, t := range p.Tensors() {
		if t.Grad == nil {
			continue
		}
		for i, g := range t.Grad.F32 {
			if g-g != 0 {
				return &NonFiniteError{Step: o.step + 1, Tensor: t.Name, Index: i, Value: g}
			}
		}
	}
	return &NonFiniteError{Step: o.step + 1, Tensor: p.Name(), Index: -1}
}

// scaleGradients multiplies every gradient by c.
func (o *Optimizer) scaleGradients(c float32) {
	if c == 1 {
		return
	}
	for i := range o.units {
		for _, t := range o.units[i].point.Tensors() {
			if t.Grad != nil {
				scale(t.Grad.F32, c)
			}
		}
	}
}
