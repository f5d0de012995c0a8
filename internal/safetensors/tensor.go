package safetensors

import (
	"fmt"
	"io"
)

// Tensor is a tensor to be written.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // outermost first; empty for a scalar

	// Data writes all elements, row-major and little-endian. It is called once, when the tensor's turn comes, so that a model larger than the memory can be
	// produced block by block.
	Data func(w io.Writer) error
}

// Raw returns a tensor over bytes in the format's layout, such as those of [Set.Bytes].
func Raw(name string, d DType, shape []int, data []byte) Tensor {
	return Tensor{name, d, shape, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// Floats returns a tensor that stores v as d (F64, F32, F16 or BF16), rounding to nearest, ties to even.
func Floats(name string, d DType, shape []int, v []float32) Tensor {
	return Tensor{name, d, shape, func(w io.Writer) error {
		if d == F32 && littleEndian {
			_, err := w.Write(rawBytes(v))
			return err
		}
		return writeBlocks(w, v, d.Bits()/8, func(dst []byte, block []float32) error { return EncodeFloats(dst, block, d) })
	}}
}

// Integers returns a tensor that stores v under the dtype of T: I64, I32, I16, I8, U64, U32, U16 or U8.
func Integers[T int64 | int32 | int16 | int8 | uint64 | uint32 | uint16 | uint8](name string, shape []int, v []T) Tensor {
	d := integerDType[T]()
	return Tensor{name, d, shape, func(w io.Writer) error {
		size := d.Bits() / 8
		return writeBlocks(w, v, size, func(dst []byte, block []T) error {
			copyLittleEndian(dst, rawBytes(block), size)
			return nil
		})
	}}
}

func integerDType[T number]() DType {
	var zero T
	switch any(zero).(type) {
	case int64:
		return I64
	case int32:
		return I32
	case int16:
		return I16
	case int8:
		return I8
	case uint64:
		return U64
	case uint32:
		return U32
	case uint16:
		return U16
	}
	return U8
}

// writeBlocks encodes v through one small buffer, size bytes an element.
func writeBlocks[T any](w io.Writer, v []T, size int, encode func(dst []byte, block []T) error) error {
	const block = 8192
	buf := make([]byte, min(len(v), block)*size)
	for len(v) > 0 {
		n := min(len(v), block)
		if err := encode(buf[:n*size], v[:n]); err != nil {
			return err
		}
		if _, err := w.Write(buf[:n*size]); err != nil {
			return err
		}
		v = v[n:]
	}
	return nil
}

// Tensor returns the stored tensor for writing it elsewhere unchanged, whatever its dtype. The Set must stay open until that is done.
func (s *Set) Tensor(name string) (Tensor, error) {
	t, err := s.find(name)
	if err != nil {
		return Tensor{}, err
	}
	return Raw(name, t.DType, t.Shape, t.bytes()), nil
}

// write streams the elements to w and checks that there are size bytes of them.
func (t Tensor) write(w io.Writer, size int64) error {
	if t.Data == nil {
		return fmt.Errorf("tensor %s: has no data", quote(t.Name))
	}
	m := &meter{w: w, left: size}
	if err := t.Data(m); err != nil {
		return fmt.Errorf("tensor %s: %w", quote(t.Name), err)
	}
	if m.left != 0 {
		return fmt.Errorf("tensor %s: data has %d bytes, but shape %v of %s takes %d", quote(t.Name), size-m.left, t.Shape, t.DType, size)
	}
	return nil
}

// meter passes at most left bytes on.
type meter struct {
	w    io.Writer
	left int64
}

func (m *meter) Write(p []byte) (int, error) {
	if int64(len(p)) > m.left {
		return 0, fmt.Errorf("data is longer than shape and dtype say, by %d bytes or more", int64(len(p))-m.left)
	}
	n, err := m.w.Write(p)
	m.left -= int64(n)
	return n, err
}
