package safetensors

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// DType is an element type under the name that the file format gives it, such as "BF16".
type DType string

// The element types that this package computes with. Others (8-bit, 6-bit and 4-bit floats, complex numbers) are carried as bytes.
const (
	Bool DType = "BOOL"
	U8   DType = "U8"
	I8   DType = "I8"
	I16  DType = "I16"
	U16  DType = "U16"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I32  DType = "I32"
	U32  DType = "U32"
	F32  DType = "F32"
	F64  DType = "F64"
	I64  DType = "I64"
	U64  DType = "U64"
)

// dtypes lists the known element types in the order in which the reference implementation (huggingface/safetensors, enum Dtype) ranks them; it and [Write]
// lay the last ones first, which keeps every tensor aligned.
var dtypes = [...]struct {
	name DType
	bits int
}{
	{Bool, 8}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {U8, 8}, {I8, 8}, {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
	{"F8_E5M2FNUZ", 8}, {I16, 16}, {U16, 16}, {F16, 16}, {BF16, 16}, {I32, 32}, {U32, 32}, {F32, 32}, {"C64", 64}, {F64, 64}, {I64, 64}, {U64, 64},
}

// rank returns the type's place in dtypes; 8-bit floats of unknown layout rank below all others.
func (d DType) rank() int {
	for i, k := range dtypes {
		if k.name == d {
			return i
		}
	}
	return -1
}

// Bits returns the width of one element, 0 for a type of unknown width. Every "F8_..." has 8.
func (d DType) Bits() int {
	if r := d.rank(); r >= 0 {
		return dtypes[r].bits
	}
	if strings.HasPrefix(string(d), "F8_") {
		return 8
	}
	return 0
}

// IsFloat reports whether the elements are floating-point numbers that this package converts: F64, F32, F16, BF16.
func (d DType) IsFloat() bool { return d == F64 || d == F32 || d == F16 || d == BF16 }

// maxDims bounds the rank of a tensor; nothing in the field has more than six.
const maxDims = 8

// byteSize returns how many bytes a tensor takes, refusing extents whose product overflows even where a zero extent would hide that.
func byteSize(d DType, shape []int) (int64, error) {
	width := d.Bits()
	if width == 0 {
		return 0, fmt.Errorf("unknown dtype %s; geotune reads the types of the safetensors specification", quote(string(d)))
	}
	if len(shape) > maxDims {
		return 0, fmt.Errorf("shape has %d dimensions, at most %d are allowed", len(shape), maxDims)
	}
	total, empty := uint64(width), false
	for _, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("shape %v has a negative extent", shape)
		}
		if n == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(total, uint64(n))
		if hi != 0 || lo > math.MaxInt {
			return 0, fmt.Errorf("shape %v of %s overflows the address space", shape, d)
		}
		total = lo
	}
	if empty {
		return 0, nil
	}
	if total%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s does not fill whole bytes", shape, d)
	}
	return int64(total / 8), nil
}

// quote returns s in quotes, shortened when a hostile file made it long.
func quote(s string) string {
	const limit = 80
	if len(s) > limit {
		return fmt.Sprintf("%q... (%d bytes)", s[:limit], len(s))
	}
	return fmt.Sprintf("%q", s)
}
