package formats

import (
	"fmt"
	"maps"
	"slices"

	"github.com/geotune/geotune/internal/safetensors"
)

// Tensor is one array of an adapter file, widened to float32. DType is the storage type it had and is written with: widening BF16
// or F16 and storing it again gives the same bits.
type Tensor struct {
	Shape  []int
	DType  safetensors.DType
	Values []float32
}

// NewTensor returns an F32 tensor over values.
func NewTensor(values []float32, shape ...int) Tensor {
	return Tensor{Shape: shape, DType: safetensors.F32, Values: values}
}

// Tensors maps the names in an adapter file to their arrays.
type Tensors map[string]Tensor

// Names returns the names in lexical order.
func (t Tensors) Names() []string { return slices.Sorted(maps.Keys(t)) }

// readTensors loads all tensors of a safetensors file. Adapters are small; nothing stays mapped.
func readTensors(path string) (t Tensors, err error) {
	set, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := set.Close(); err == nil {
			err = e
		}
	}()
	t = make(Tensors, set.Len())
	for _, name := range set.Names() {
		info, _ := set.Info(name)
		values, err := set.Float32(name)
		if err != nil {
			return nil, err
		}
		dtype := info.DType
		if dtype == safetensors.F64 { // the values have been rounded
			dtype = safetensors.F32
		}
		t[name] = Tensor{Shape: slices.Clone(info.Shape), DType: dtype, Values: values}
	}
	return t, nil
}

// write stores the tensors with the metadata that Hugging Face libraries ask for.
func (t Tensors) write(path string) error {
	list := make([]safetensors.Tensor, 0, len(t))
	for _, name := range t.Names() {
		x := t[name]
		list = append(list, safetensors.Floats(name, x.DType, x.Shape, x.Values))
	}
	return safetensors.Write(path, list, map[string]string{"format": "pt"})
}

// matrix returns a tensor as a matrix of its first extent by the product of the others, which is how PEFT flattens the kernels of
// convolutions.
func (t Tensor) matrix() (rows, cols int, err error) {
	if len(t.Shape) < 2 || len(t.Values) == 0 {
		return 0, 0, fmt.Errorf("has shape %v, expected a matrix with elements", t.Shape)
	}
	rows, cols = t.Shape[0], 1
	for _, n := range t.Shape[1:] {
		cols *= n
	}
	return rows, cols, nil
}
