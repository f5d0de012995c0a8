package safetensors

import "math"

// Float32 returns the elements of a floating-point tensor (F64, F32, F16 or BF16) as a new slice.
func (s *Set) Float32(name string) ([]float32, error) { return floats[float32](s, name) }

// Float64 returns the elements of a floating-point tensor (F64, F32, F16 or BF16) as a new slice.
func (s *Set) Float64(name string) ([]float64, error) { return floats[float64](s, name) }

func floats[T float32 | float64](s *Set, name string) ([]T, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if !t.DType.IsFloat() {
		return nil, t.errorf("is stored as %s; expected a floating-point type: F64, F32, F16 or BF16", t.DType)
	}
	out := make([]T, t.Elements())
	if err := DecodeFloats(out, t.bytes(), t.DType); err != nil {
		return nil, t.errorf("%w", err)
	}
	return out, nil
}

// Int64 returns the elements of an integer or boolean tensor as a new slice; a U64 that does not fit is an error.
func (s *Set) Int64(name string) ([]int64, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return t.integers()
}

// Int32 returns the elements of an integer or boolean tensor as a new slice; a value that does not fit is an error.
func (s *Set) Int32(name string) ([]int32, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	wide, err := t.integers()
	if err != nil {
		return nil, err
	}
	out := make([]int32, len(wide))
	for i, v := range wide {
		if v < math.MinInt32 || v > math.MaxInt32 {
			return nil, t.errorf("element %d is %d, which does not fit 32 bits", i, v)
		}
		out[i] = int32(v)
	}
	return out, nil
}

func (t entry) integers() ([]int64, error) {
	out, b := make([]int64, t.Elements()), t.bytes()
	switch t.DType {
	case I64:
		copy(out, View[int64](b))
	case I32:
		convert(out, View[int32](b))
	case U32:
		convert(out, View[uint32](b))
	case I16:
		convert(out, View[int16](b))
	case U16:
		convert(out, View[uint16](b))
	case I8:
		convert(out, View[int8](b))
	case U8, Bool:
		convert(out, b)
	case U64:
		for i, v := range View[uint64](b) {
			if v > math.MaxInt64 {
				return nil, t.errorf("element %d is %d, which does not fit 63 bits", i, v)
			}
			out[i] = int64(v)
		}
	default:
		return nil, t.errorf("is stored as %s; expected an integer type", t.DType)
	}
	return out, nil
}
