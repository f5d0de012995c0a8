package kernel

import (
	"fmt"
	"strings"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Shape lists the extents of a tensor, outermost first; the last axis is contiguous in memory.
type Shape []int

// Size returns the number of elements; 1 for the empty shape.
func (s Shape) Size() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Last returns the extent of the innermost axis, 1 for the empty shape.
func (s Shape) Last() int {
	if len(s) == 0 {
		return 1
	}
	return s[len(s)-1]
}

// Rows returns how many vectors of Last elements the tensor holds.
func (s Shape) Rows() int {
	if len(s) == 0 {
		return 1
	}
	return s[:len(s)-1].Size()
}

// Equal reports whether both shapes have the same extents.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i] != t[i] {
			return false
		}
	}
	return true
}

// String returns the shape as "2x3x4".
func (s Shape) String() string {
	if len(s) == 0 {
		return "scalar"
	}
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = fmt.Sprint(d)
	}
	return strings.Join(parts, "x")
}

// Tensor is a dense row-major array or a view of one. The slice that belongs to DType is set, the others are nil.
type Tensor struct {
	DType DType
	Shape Shape
	F32   []float32
	U16   []uint16 // bits of BF16 or F16
	I32   []int32

	packs *packs // packed copies; non-nil only for frozen weights
}

// New returns a zeroed F32 tensor.
func New(shape ...int) *Tensor {
	s := Shape(shape)
	return &Tensor{Shape: s, F32: make([]float32, s.Size())}
}

// NewI32 returns a zeroed I32 tensor.
func NewI32(shape ...int) *Tensor {
	s := Shape(shape)
	return &Tensor{DType: I32, Shape: s, I32: make([]int32, s.Size())}
}

// FromF32 returns a tensor over data, without a copy.
func FromF32(data []float32, shape ...int) *Tensor { return &Tensor{Shape: shape, F32: data} }

// Rounded returns a tensor of storage type d, F32, BF16 or F16, over values rounded to nearest, ties to even; F32 values are not copied.
func Rounded(values []float32, d DType, shape Shape) *Tensor {
	t := &Tensor{DType: d, Shape: shape}
	switch d {
	case BF16:
		t.U16 = roundAll(values, cpu.F32ToBF16)
	case F16:
		t.U16 = roundAll(values, cpu.F32ToF16)
	default:
		t.F32 = values
	}
	return t
}

func roundAll(values []float32, round func(float32) uint16) []uint16 {
	out := make([]uint16, len(values))
	for i, v := range values {
		out[i] = round(v)
	}
	return out
}

// Spec returns the tensor's description.
func (t *Tensor) Spec() Spec { return Spec{t.Shape, t.DType} }

// Len returns the number of stored elements.
func (t *Tensor) Len() int { return max(len(t.F32), len(t.U16), len(t.I32)) }

// Mat returns the F32 tensor as a matrix of Shape.Rows() by Shape.Last().
func (t *Tensor) Mat() cpu.Mat { return cpu.Dense(t.F32, t.Shape.Rows(), t.Shape.Last()) }

// Weights returns the tensor as a stored matrix of Shape.Rows() by Shape.Last() in its storage type.
func (t *Tensor) Weights() cpu.Weights {
	w := cpu.Weights{Rows: t.Shape.Rows(), Cols: t.Shape.Last()}
	switch t.DType {
	case BF16:
		w.BF16 = t.U16
	case F16:
		w.F16 = t.U16
	default:
		w.F32 = t.F32
	}
	return w
}

// Floats returns the elements widened to float32: the tensor's own slice when it is F32, a new one otherwise.
func (t *Tensor) Floats() []float32 {
	if t.DType == F32 {
		return t.F32
	}
	out := make([]float32, t.Len())
	if t.DType == I32 {
		for i, v := range t.I32 {
			out[i] = float32(v)
		}
		return out
	}
	cpu.Widen(out, t.Weights(), 0)
	return out
}
