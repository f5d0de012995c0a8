package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	peer "github.com/nlpodyssey/safetensors"

	"github.com/geotune/geotune/internal/atomicfile"
)

// Write replaces the file at path by one with the given tensors and metadata (nil for none), atomically. Hugging Face transformers loads weights only from
// files whose metadata say {"format": "pt"}. The order of tensors does not matter: the file has them by descending dtype, then by name.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	l, err := newLayout(tensors, metadata)
	if err == nil {
		err = atomicfile.WriteFile(path, l.write)
	}
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return nil
}

// Encode writes to w what [Write] writes to a file.
func Encode(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	l, err := newLayout(tensors, metadata)
	if err == nil {
		err = l.write(w)
	}
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// layout is a file about to be written.
type layout struct {
	tensors []Tensor // in file order
	sizes   []int64
	header  []byte // with the length before it
}

// description is the value of a tensor's key in the header.
type description struct {
	DType   DType    `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// newLayout orders the tensors, describes them, and checks that the file can be read again.
func newLayout(tensors []Tensor, metadata map[string]string) (*layout, error) {
	l := &layout{tensors: slices.Clone(tensors)}
	slices.SortStableFunc(l.tensors, func(a, b Tensor) int {
		return cmp.Or(b.DType.rank()-a.DType.rank(), strings.Compare(string(b.DType), string(a.DType)), strings.Compare(a.Name, b.Name))
	})
	entries := make(map[string]any, len(tensors)+1)
	var at int64
	for _, t := range l.tensors {
		size, err := byteSize(t.DType, t.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		if err := checkName(t.Name); err != nil {
			return nil, err
		}
		if _, dup := entries[t.Name]; dup {
			return nil, fmt.Errorf("tensor %s: given twice", quote(t.Name))
		}
		if at+size < at {
			return nil, fmt.Errorf("tensor %s: the file's size overflows", quote(t.Name))
		}
		shape := append([]int{}, t.Shape...) // a nil one would be written as null
		entries[t.Name] = description{t.DType, shape, [2]int64{at, at + size}}
		l.sizes = append(l.sizes, size)
		at += size
	}
	if len(metadata) > 0 {
		entries[metadataKey] = metadata
	}
	if err := l.encodeHeader(entries); err != nil {
		return nil, err
	}
	return l, l.check(at)
}

func checkName(name string) error {
	if name == metadataKey {
		return fmt.Errorf("tensor %s: the format reserves this name", metadataKey)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("tensor %s: name is not valid UTF-8", quote(name))
	}
	return nil
}

// encodeHeader writes the entries as JSON with sorted keys, padded with spaces so that the data begins at a multiple of 8.
func (l *layout) encodeHeader(entries map[string]any) error {
	text, err := json.Marshal(entries)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if pad := len(text) % 8; pad != 0 {
		text = append(text, bytes.Repeat([]byte{' '}, 8-pad)...)
	}
	l.header = append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	return nil
}

// check reads the header as [Open] would before anything is written, which enforces all its limits, and compares it with nlpodyssey's reading unless a
// dtype is one that nlpodyssey does not know.
func (l *layout) check(dataSize int64) error {
	size := int64(len(l.header)) + dataSize
	if _, err := parseHeader(l.header, size); err != nil {
		return err
	}
	for _, t := range l.tensors {
		if _, err := peer.ParseDType(string(t.DType)); err != nil {
			return nil
		}
	}
	var m peer.Metadata
	if err := json.Unmarshal(l.header[8:], &m); err != nil {
		return fmt.Errorf("header is unreadable to github.com/nlpodyssey/safetensors: %w", err)
	}
	infos := m.Tensors()
	var at uint64
	for i, t := range l.tensors {
		next := at + uint64(l.sizes[i])
		if info := infos[t.Name]; info == nil || info.DType.String() != string(t.DType) || info.DataOffsets != [2]uint64{at, next} {
			return fmt.Errorf("tensor %s: github.com/nlpodyssey/safetensors reads its description differently", quote(t.Name))
		}
		at = next
	}
	return nil
}

func (l *layout) write(w io.Writer) error {
	if _, err := w.Write(l.header); err != nil {
		return err
	}
	for i, t := range l.tensors {
		if err := t.write(w, l.sizes[i]); err != nil {
			return err
		}
	}
	return nil
}
