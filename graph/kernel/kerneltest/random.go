package kerneltest

import (
	"math"
	"math/rand/v2"

	"github.com/geotune/geotune/graph/kernel"
)

// source returns the random numbers of a seed.
func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6b65726e656c)) }

// Normal returns a tensor of standard normal values.
func Normal(seed uint64, shape ...int) *kernel.Tensor { return Scaled(seed, 1, shape...) }

// Scaled returns a tensor of normal values with mean 0 and the given standard deviation.
func Scaled(seed uint64, std float64, shape ...int) *kernel.Tensor {
	r, t := source(seed), kernel.New(shape...)
	for i := range t.F32 {
		t.F32[i] = float32(std * r.NormFloat64())
	}
	return t
}

// IDs returns a tensor of integers in [0, n).
func IDs(seed uint64, n int, shape ...int) *kernel.Tensor {
	r, t := source(seed), kernel.NewI32(shape...)
	for i := range t.I32 {
		t.I32[i] = int32(r.IntN(n))
	}
	return t
}

// Stored returns the F32 tensor t in the storage type d, rounded to nearest even, frozen.
func Stored(t *kernel.Tensor, d kernel.DType) *kernel.Tensor {
	out := &kernel.Tensor{DType: d, Shape: t.Shape}
	for _, v := range t.F32 {
		switch d {
		case kernel.F32:
			out.F32 = append(out.F32, v)
		case kernel.BF16:
			b := math.Float32bits(v)
			out.U16 = append(out.U16, uint16((b+0x7fff+b>>16&1)>>16))
		case kernel.F16:
			out.U16 = append(out.U16, half(v))
		}
	}
	return out.Freeze()
}

// half rounds to binary16 values of magnitude below 65504; what would be subnormal becomes zero.
func half(v float32) uint16 {
	b := math.Float32bits(v)
	sign := uint16(b >> 16 & 0x8000)
	mag := b & 0x7fffffff
	mag += 0xfff + mag>>13&1 // round to nearest even at bit 13
	if exp := int(mag>>23) - 127 + 15; exp <= 0 {
		return sign
	}
	return sign | uint16((mag-112<<23)>>13)
}

// weights returns the random functional that turns an output into a number: the gradient handed to Backward.
func weights(shape kernel.Shape) *kernel.Tensor { return Normal(0x77, shape...) }
