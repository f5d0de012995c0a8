package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Limits that hold before memory is allocated for what a header claims.
const (
	maxHeader      = 100_000_000 // the reference implementation's
	maxTensors     = 200_000
	maxMetadata    = 10_000
	minTensorEntry = 48 // bytes that the shortest description of a tensor takes in a header
	metadataKey    = "__metadata__"
)

// Info describes one stored tensor.
type Info struct {
	Name   string
	DType  DType
	Shape  []int // outermost first; empty for a scalar
	Offset int64 // of its bytes in the file
	Size   int64 // in bytes
}

// Elements returns the number of elements, 1 for a scalar.
func (t Info) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// header is the validated description of a file's content.
type header struct {
	tensors  []entry // by name; their file is not yet set
	metadata map[string]string
}

// parseHeader reads and validates the header at the beginning of a file of size bytes, of which text holds at least the header.
func parseHeader(text []byte, size int64) (header, error) {
	n, err := headerLength(text, size)
	if err != nil {
		return header{}, err
	}
	h := header{tensors: make([]entry, 0, min(n/minTensorEntry, maxTensors))}
	if err := h.scan(text[8 : 8+n]); err != nil {
		return header{}, err
	}
	if err := h.place(8+n, size); err != nil {
		return header{}, err
	}
	slices.SortFunc(h.tensors, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	for i := range h.tensors[min(1, len(h.tensors)):] {
		if name := h.tensors[i].Name; name == h.tensors[i+1].Name {
			return header{}, fmt.Errorf("tensor %s: described twice; the file is ambiguous, write it anew", quote(name))
		}
	}
	return h, nil
}

// headerLength reads the first 8 bytes, the header's length.
func headerLength(text []byte, size int64) (int64, error) {
	if bytes.HasPrefix(text, []byte("version https://git-lfs")) {
		return 0, errors.New("is a Git LFS pointer, not the file itself; fetch it with: git lfs pull")
	}
	if size < 8 {
		return 0, fmt.Errorf("%d bytes are too few for a safetensors file; it is truncated", size)
	}
	n := binary.LittleEndian.Uint64(text)
	switch {
	case n > maxHeader:
		return 0, fmt.Errorf("header of %d bytes is over the limit of %d; this is no safetensors file", n, maxHeader)
	case int64(n) > size-8:
		return 0, fmt.Errorf("header of %d bytes does not fit the file of %d bytes; it is truncated or no safetensors file", n, size)
	case n < 2 || text[8] != '{':
		return 0, errors.New(`header does not begin with "{"; this is no safetensors file`)
	}
	return int64(n), nil
}

// scan reads the header's JSON text. Offsets stay relative to the data section until place.
func (h *header) scan(text []byte) error {
	s := &scanner{text: text}
	err := s.object(func(key string) error {
		if key == metadataKey {
			return h.scanMetadata(s)
		}
		if len(h.tensors) == maxTensors {
			return fmt.Errorf("more than %d tensors", maxTensors)
		}
		t := entry{Info: Info{Name: key}}
		if err := t.scan(s); err != nil {
			return fmt.Errorf("tensor %s: %w", quote(key), err)
		}
		h.tensors = append(h.tensors, t)
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

func (h *header) scanMetadata(s *scanner) error {
	if h.metadata != nil {
		return fmt.Errorf("%s occurs twice", metadataKey)
	}
	h.metadata = map[string]string{}
	return s.object(func(key string) error {
		if _, dup := h.metadata[key]; dup {
			return fmt.Errorf("%s: key %s occurs twice", metadataKey, quote(key))
		}
		if len(h.metadata) == maxMetadata {
			return fmt.Errorf("%s: more than %d entries", metadataKey, maxMetadata)
		}
		value, err := s.string()
		if err != nil {
			return fmt.Errorf("%s: key %s: %w", metadataKey, quote(key), err)
		}
		h.metadata[key] = value
		return nil
	})
}

// scan reads the object {"dtype":...,"shape":[...],"data_offsets":[begin,end]}; each key must occur exactly once.
func (t *Info) scan(s *scanner) error {
	seen := make([]string, 0, 3)
	var end int64
	err := s.object(func(key string) (err error) {
		if slices.Contains(seen, key) {
			return fmt.Errorf("key %s occurs twice", quote(key))
		}
		switch key {
		case "dtype":
			t.DType, err = scanDType(s)
		case "shape":
			t.Shape, err = scanShape(s)
		case "data_offsets":
			t.Offset, end, err = scanOffsets(s)
		default:
			err = fmt.Errorf("unknown key %s; expected dtype, shape, data_offsets", quote(key))
		}
		seen = append(seen, key)
		return err
	})
	if err != nil {
		return err
	}
	if len(seen) != 3 {
		return fmt.Errorf("has only the keys %q; expected dtype, shape, data_offsets", seen)
	}
	if t.Size = end - t.Offset; t.Size < 0 {
		return fmt.Errorf("offsets %d:%d run backwards", t.Offset, end)
	}
	need, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if need != t.Size {
		return fmt.Errorf("offsets %d:%d span %d bytes, but shape %v of %s takes %d", t.Offset, end, t.Size, t.Shape, t.DType, need)
	}
	return nil
}

func scanDType(s *scanner) (DType, error) {
	name, err := s.string()
	return DType(name), err
}

func scanShape(s *scanner) ([]int, error) {
	var dims [maxDims]int
	n := 0
	err := s.array(func() error {
		if n == maxDims {
			return fmt.Errorf("shape has more than %d dimensions", maxDims)
		}
		v, err := s.natural()
		if err == nil && v > math.MaxInt {
			err = fmt.Errorf("extent %d overflows the address space", v)
		}
		if err != nil {
			return err
		}
		dims[n] = int(v)
		n++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(make([]int, 0, n), dims[:n]...), nil
}

func scanOffsets(s *scanner) (begin, end int64, err error) {
	var v [2]int64
	n := 0
	err = s.array(func() (err error) {
		if n == len(v) {
			return errors.New("data_offsets has more than 2 numbers")
		}
		v[n], err = s.natural()
		n++
		return err
	})
	if err == nil && n != len(v) {
		err = fmt.Errorf("data_offsets has %d numbers, expected 2", n)
	}
	return v[0], v[1], err
}

// place checks that the tensors cover the data section, bytes begin to size of the file, without holes or overlaps, and makes their offsets absolute.
func (h *header) place(begin, size int64) error {
	slices.SortFunc(h.tensors, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size))
	})
	data := size - begin
	at := int64(0)
	for i := range h.tensors {
		t := &h.tensors[i]
		switch end := t.Offset + t.Size; {
		case end > data:
			return fmt.Errorf("tensor %s: offsets %d:%d past end of data %d; the file is truncated", quote(t.Name), t.Offset, end, data)
		case t.Offset > at:
			return fmt.Errorf("tensor %s: begins at %d, leaving bytes %d:%d to nobody; holes are not allowed", quote(t.Name), t.Offset, at, t.Offset)
		case t.Offset < at:
			return fmt.Errorf("tensor %s: begins at %d and overlaps tensor %s, which ends at %d", quote(t.Name), t.Offset, quote(h.tensors[i-1].Name), at)
		default:
			at = end
			t.Offset += begin
		}
	}
	if at != data {
		return fmt.Errorf("%d bytes follow the last tensor; the file holds something else besides", data-at)
	}
	return nil
}
