package optim

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel"
)

// Tensor is one array that training moves: its values, which a rule changes in place, and its gradient, which the backward pass
// fills before every step. Grad has the shape of Value; it is nil while the tensor is frozen.
type Tensor struct {
	// Name is unique within a run; it is the tensor's name in the adapter or model file.
	Name        string
	Value, Grad *kernel.Tensor
}

// Point is one trainable as an element of its manifold: a plain tensor, the two factors of a low-rank matrix, a stack of rotations.
// What a rule does not know as a manifold it takes apart with PerTensor.
type Point interface {
	// Name labels the point in errors, in groups and in saved state.
	Name() string
	// Tensors returns the point's coordinates in a fixed order. The slice belongs to the point: setting a Grad in it freezes or
	// thaws that tensor.
	Tensors() []Tensor
}

// Euclidean is a point of a plain vector space: a bias, a norm's scale, a head, any weight that is trained as it is.
type Euclidean struct{ t [1]Tensor }

// NewEuclidean returns t as a point of its own, under the tensor's name.
func NewEuclidean(t Tensor) *Euclidean { return &Euclidean{[1]Tensor{t}} }

// Name returns the tensor's name.
func (e *Euclidean) Name() string { return e.t[0].Name }

// Tensors returns the one tensor.
func (e *Euclidean) Tensors() []Tensor { return e.t[:] }

// LowRank is the update of a LoRA adapter, the out×in matrix X = Scale·B·A of rank at most r. Its factors are unique only up to a
// change of basis: (B·Q, Q⁻¹·A) is the same X for any invertible r×r matrix Q. Rules that respect this move the point as a whole;
// Euclidean rules take A and B as two plain tensors.
type LowRank struct {
	// Scale is the adapter's scaling, alpha/r or alpha/√r.
	Scale float32
	name  string
	t     [2]Tensor
}

// NewLowRank returns the point X = scale·B·A with a.Value of shape r×in and b.Value of shape out×r; name is the adapted layer's.
func NewLowRank(name string, a, b Tensor, scale float32) (*LowRank, error) {
	if a.Value == nil || b.Value == nil {
		return nil, fmt.Errorf("optim: low-rank point %q: factor %q or %q has no value", name, a.Name, b.Name)
	}
	sa, sb := a.Value.Shape, b.Value.Shape
	if len(sa) != 2 || len(sb) != 2 || sa[0] != sb[1] {
		return nil, fmt.Errorf("optim: low-rank point %q: factors %q of shape %v and %q of shape %v; they must be r×in and out×r",
			name, a.Name, sa, b.Name, sb)
	}
	return &LowRank{Scale: scale, name: name, t: [2]Tensor{a, b}}, nil
}

// Name returns the adapted layer's name.
func (p *LowRank) Name() string { return p.name }

// Tensors returns A and B.
func (p *LowRank) Tensors() []Tensor { return p.t[:] }

// A returns the factor of shape r×in.
func (p *LowRank) A() Tensor { return p.t[0] }

// B returns the factor of shape out×r.
func (p *LowRank) B() Tensor { return p.t[1] }

// PerTensor takes p apart into Euclidean points, one a tensor. It is the Split of every rule that knows no manifold.
func PerTensor(p Point) []Point {
	if _, ok := p.(*Euclidean); ok {
		return []Point{p}
	}
	tensors := p.Tensors()
	parts := make([]Point, len(tensors))
	for i := range tensors {
		parts[i] = &part{p, i}
	}
	return parts
}

// part is one tensor of a larger point, seen as a Euclidean point. It reads the owner's tensor, so that freezing it there counts.
type part struct {
	owner Point
	i     int
}

func (p *part) Name() string      { return p.owner.Tensors()[p.i].Name }
func (p *part) Tensors() []Tensor { return p.owner.Tensors()[p.i : p.i+1] }
