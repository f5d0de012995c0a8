package kernel_test

import (
	"testing"

	"github.com/geotune/geotune/graph/kernel"
)

func TestTypesOfWeightsHaveTheNamesOfPyTorch(t *testing.T) {
	known := map[string]bool{}
	for _, name := range kernel.TorchNames() {
		known[name] = true
		if d, ok := kernel.FromTorch(name); !ok || d.Torch() != name {
			t.Errorf("%s is %v, which is %q", name, d, d.Torch())
		}
	}
	for d, name := range map[kernel.DType]string{kernel.F32: "float32", kernel.BF16: "bfloat16", kernel.F16: "float16"} {
		if d.Torch() != name || !known[name] {
			t.Errorf("%v is %q, want %q", d, d.Torch(), name)
		}
	}
	if d, ok := kernel.FromTorch("int8"); ok || kernel.I32.Torch() != "" {
		t.Errorf("int8 is %v, I32 %q", d, kernel.I32.Torch())
	}
}
