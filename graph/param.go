package graph

import "github.com/geotune/geotune/graph/kernel"

// Param is a named tensor that many graphs refer to: a weight of the model or a factor of an adapter.
type Param struct {
	// Name is unique within a model, e.g. "model.layers.0.mlp.up_proj.weight".
	Name string
	// Value is read by every graph that uses the parameter. The values of frozen ones are frozen too, so that those of 16
	// bits keep packed copies.
	Value *kernel.Tensor
	// Trainable parameters get a gradient node; the others cost nothing backward. A trainable value is F32.
	Trainable bool
}

// NewParam returns a trainable parameter of the given shape, zeroed.
func NewParam(name string, shape ...int) *Param {
	return &Param{Name: name, Value: kernel.New(shape...), Trainable: true}
}

// FrozenParam returns a parameter over t that never changes.
func FrozenParam(name string, t *kernel.Tensor) *Param {
	return &Param{Name: name, Value: t.Freeze()}
}
