package kernel_test

import (
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

func refAdd(x [][]float64) []float64 {
	return addRow(append([]float64(nil), x[0]...), 1, x[1])
}

func TestAdd(t *testing.T) {
	for name, shape := range map[string][]int{"one": {1}, "odd": {2, 3, 5}, "parallel": {3, 70, 300}} {
		kerneltest.Run(t, kerneltest.Case{
			Name: name, Kernel: kernel.Add{}, Ref: refAdd,
			X:   []*kernel.Tensor{kerneltest.Normal(1, shape...), kerneltest.Normal(2, shape...)},
			Bad: [][]kernel.Spec{{spec(3)}, {spec(3), spec(4)}, {spec(3, 1), spec(3)}, {spec(3), specI32(3)}},
		})
	}
}

func TestAddToAddsInPlace(t *testing.T) {
	a, b := kernel.FromF32([]float32{1, 2}, 2), kernel.FromF32([]float32{10, 20}, 2)
	kernel.AddTo(a, b)
	if a.F32[0] != 11 || a.F32[1] != 22 || b.F32[0] != 10 {
		t.Errorf("a = %v, b = %v; want [11 22] and [10 20]", a.F32, b.F32)
	}
}
