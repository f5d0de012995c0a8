package kernel

import "fmt"

// DType is the storage type of a tensor's elements.
type DType uint8

// The storage types. Kernels compute in F32; BF16 and F16 occur only as frozen weights, I32 only as ids, positions and masks.
const (
	F32 DType = iota
	BF16
	F16
	I32
)

// torchNames are the names that PyTorch has for the types of weights.
var torchNames = [...]string{F32: "float32", BF16: "bfloat16", F16: "float16"}

// String returns the name used by safetensors, e.g. "BF16".
func (d DType) String() string {
	switch d {
	case F32:
		return "F32"
	case BF16:
		return "BF16"
	case F16:
		return "F16"
	case I32:
		return "I32"
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Torch returns the name that PyTorch and Hugging Face configs have for a type of weights, e.g. "bfloat16"; it is empty for others.
func (d DType) Torch() string {
	if int(d) < len(torchNames) {
		return torchNames[d]
	}
	return ""
}

// FromTorch returns the type of weights of that name.
func FromTorch(name string) (d DType, ok bool) {
	for i, n := range torchNames {
		if n == name {
			return DType(i), true
		}
	}
	return d, false
}

// TorchNames returns the names that FromTorch knows.
func TorchNames() []string { return torchNames[:] }
