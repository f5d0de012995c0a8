package safetensors

import (
	"encoding/binary"
	"unsafe"
)

// number lists the Go types whose memory on a little-endian machine is what the format stores.
type number interface {
	int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64 | float32 | float64
}

// littleEndian tells whether this machine stores numbers as the format does.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// View returns little-endian bytes as len(b)/sizeof(T) numbers: the same memory where the machine's byte order and b's alignment allow it, a copy
// elsewhere. A view of [Set.Bytes] is read-only and valid until Close; uint16 holds the bits of F16 and BF16.
func View[T number](b []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(b) / size
	if n == 0 {
		return []T{}
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if littleEndian && uintptr(p)%uintptr(size) == 0 {
		return unsafe.Slice((*T)(p), n)
	}
	out := make([]T, n)
	copyLittleEndian(rawBytes(out), b[:n*size], size)
	return out
}

// rawBytes returns the memory of v.
func rawBytes[T number](v []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(zero)))
}

// copyLittleEndian copies numbers of size bytes between the format's byte order and the machine's, in either direction.
func copyLittleEndian(dst, src []byte, size int) {
	if littleEndian {
		copy(dst, src)
		return
	}
	for i := 0; i < len(src); i += size {
		for j := range size {
			dst[i+j] = src[i+size-1-j]
		}
	}
}
