package safetensors

import (
	"fmt"
	"math"
)

// DecodeFloats converts stored floats of type d (F64, F32, F16 or BF16) to T; src holds len(dst) of them. F64 is rounded to the nearest float32.
func DecodeFloats[T float32 | float64](dst []T, src []byte, d DType) error {
	if !d.IsFloat() {
		return fmt.Errorf("safetensors: %s does not hold floats; expected F64, F32, F16 or BF16", d)
	}
	if want := len(dst) * d.Bits() / 8; len(src) != want {
		return fmt.Errorf("safetensors: %d bytes of %s for %d elements; expected %d bytes", len(src), d, len(dst), want)
	}
	switch d {
	case F64:
		convert(dst, View[float64](src))
	case F32:
		convert(dst, View[float32](src))
	case F16:
		for i, h := range View[uint16](src) {
			dst[i] = T(Float16(h))
		}
	case BF16:
		for i, h := range View[uint16](src) {
			dst[i] = T(BFloat16(h))
		}
	}
	return nil
}

// EncodeFloats converts floats to the stored type d (F64, F32, F16 or BF16), rounding to nearest, ties to even; dst has room for exactly len(src) of them.
func EncodeFloats(dst []byte, src []float32, d DType) error {
	if !d.IsFloat() {
		return fmt.Errorf("safetensors: cannot store floats as %s; expected F64, F32, F16 or BF16", d)
	}
	if want := len(src) * d.Bits() / 8; len(dst) != want {
		return fmt.Errorf("safetensors: %d bytes of room for %d elements of %s; expected %d", len(dst), len(src), d, want)
	}
	switch d {
	case F64:
		wide := make([]float64, len(src))
		convert(wide, src)
		copyLittleEndian(dst, rawBytes(wide), 8)
	case F32:
		copyLittleEndian(dst, rawBytes(src), 4)
	case F16:
		for i, v := range src {
			putUint16(dst[2*i:], ToFloat16(v))
		}
	case BF16:
		for i, v := range src {
			putUint16(dst[2*i:], ToBFloat16(v))
		}
	}
	return nil
}

func putUint16(dst []byte, v uint16) { dst[0], dst[1] = byte(v), byte(v>>8) }

// convert is Go's numeric conversion, element by element.
func convert[D, S number](dst []D, src []S) {
	for i, v := range src {
		dst[i] = D(v)
	}
}

// BFloat16 widens the bits of a bfloat16.
func BFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// ToBFloat16 rounds to the nearest bfloat16, ties to even; a NaN stays one.
func ToBFloat16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// Float16 widens the bits of an IEEE 754 binary16.
func Float16(h uint16) float32 {
	sign, exponent, mantissa := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: mantissa * 2^-24, exact in float32
		return math.Float32frombits(sign | math.Float32bits(float32(mantissa)*0x1p-24))
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
}

// ToFloat16 rounds to the nearest binary16, ties to even; what is too large becomes infinite, a NaN stays one.
func ToFloat16(v float32) uint16 {
	b := math.Float32bits(v)
	sign, b := uint16(b>>16&0x8000), b&0x7fffffff
	switch abs := math.Float32frombits(b); {
	case abs != abs:
		return sign | 0x7e00 | uint16(b>>13&0x3ff)
	case abs >= 65520: // halfway between the largest binary16 and the next power of two
		return sign | 0x7c00
	case abs < 0x1p-14: // subnormal: adding 0.5 lets the processor round to multiples of 2^-24
		return sign | uint16(math.Float32bits(abs+0.5)-math.Float32bits(0.5))
	}
	b += 0xfff + b>>13&1
	return sign | uint16(b>>13-(127-15)<<10)
}
