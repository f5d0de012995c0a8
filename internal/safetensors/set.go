// Package safetensors reads and writes the safetensors format (https://github.com/huggingface/safetensors): a header of JSON that describes tensors,
// then their bytes, little-endian and row-major.
//
// Reading trusts nothing: every length, offset, shape and key of a header is checked before memory is allocated for what it claims, so that a truncated,
// lying or hostile file gives an error naming file, tensor and reason. Files are memory-mapped where the system can, and converted only tensor by tensor.
// Writing is atomic and deterministic: the same tensors give the same bytes, equal to those of github.com/nlpodyssey/safetensors, which reads every header
// again as a second opinion before anything is written.
package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
)

// Set is a collection of named tensors: a file, or the shards of a model as if they were one. It is safe for concurrent use, Close apart.
type Set struct {
	files   []*file
	tensors []entry // by name
}

// entry is a tensor and the file that holds it.
type entry struct {
	Info
	file *file
}

// file is one opened file.
type file struct {
	path     string
	data     []byte // all of it
	unmap    func() error
	metadata map[string]string
}

// Open opens one file. Its bytes are mapped read-only: they must not be written to, and the file must not be truncated while the Set is open.
func Open(path string) (*Set, error) {
	f, tensors, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &Set{[]*file{f}, tensors}, nil
}

// Parse reads a file that is already in memory, such as an embedded one. The Set keeps data; name stands for the path in errors.
func Parse(name string, data []byte) (*Set, error) {
	h, err := parseHeader(data, int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", name, err)
	}
	f := &file{path: name, data: data, metadata: h.metadata, unmap: func() error { return nil }}
	return &Set{[]*file{f}, f.adopt(h.tensors)}, nil
}

func openFile(path string) (*file, []entry, error) {
	fail := func(err error) (*file, []entry, error) {
		return nil, nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	st, err := os.Stat(path) // before opening: a pipe would block
	if errors.Is(err, fs.ErrNotExist) {
		return fail(fs.ErrNotExist)
	}
	if err != nil {
		return fail(err)
	}
	if !st.Mode().IsRegular() {
		return fail(fmt.Errorf("is not a regular file but %v", st.Mode()))
	}
	data, unmap, err := load(path)
	if err != nil {
		return fail(err)
	}
	h, err := parseHeader(data, int64(len(data)))
	if err != nil {
		return fail(errors.Join(err, unmap()))
	}
	f := &file{path: path, data: data, unmap: unmap, metadata: h.metadata}
	return f, f.adopt(h.tensors), nil
}

// adopt says of the tensors that f holds them.
func (f *file) adopt(tensors []entry) []entry {
	for i := range tensors {
		tensors[i].file = f
	}
	return tensors
}

// Close releases the mapped bytes. Slices from [Set.Bytes] and views of them must not be used afterwards.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.unmap())
		f.data = nil
	}
	s.files, s.tensors = nil, nil
	return errors.Join(errs...)
}

// Len returns the number of tensors.
func (s *Set) Len() int { return len(s.tensors) }

// Names returns the names of all tensors in lexical order.
func (s *Set) Names() []string {
	names := make([]string, len(s.tensors))
	for i, t := range s.tensors {
		names[i] = t.Name
	}
	return names
}

// Info describes the tensor of that name. Its Shape must not be changed.
func (s *Set) Info(name string) (Info, bool) {
	t, err := s.find(name)
	return t.Info, err == nil
}

// Metadata returns the free-form entries of the (first) file's header, nil for none.
func (s *Set) Metadata() map[string]string {
	if len(s.files) == 0 {
		return nil
	}
	return s.files[0].metadata
}

// Paths returns the files behind the Set: one, or the shards in lexical order.
func (s *Set) Paths() []string {
	paths := make([]string, len(s.files))
	for i, f := range s.files {
		paths[i] = f.path
	}
	return paths
}

// Bytes returns the tensor's stored bytes without a copy. They are read-only and valid until Close.
func (s *Set) Bytes(name string) ([]byte, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return t.bytes(), nil
}

func (t entry) bytes() []byte {
	end := t.Offset + t.Size
	return t.file.data[t.Offset:end:end]
}

func (t entry) errorf(format string, args ...any) error {
	return fmt.Errorf("safetensors: %s: tensor %s: %w", t.file.path, quote(t.Name), fmt.Errorf(format, args...))
}

// ErrNotFound is wrapped by the errors of lookups under a name that no tensor has.
var ErrNotFound = errors.New("no such tensor")

func (s *Set) find(name string) (entry, error) {
	i := sort.Search(len(s.tensors), func(i int) bool { return s.tensors[i].Name >= name })
	if i < len(s.tensors) && s.tensors[i].Name == name {
		return s.tensors[i], nil
	}
	switch len(s.files) {
	case 0:
		return entry{}, fmt.Errorf("safetensors: tensor %s: %w: the set is closed", quote(name), ErrNotFound)
	case 1:
		return entry{}, fmt.Errorf("safetensors: %s: tensor %s: %w", s.files[0].path, quote(name), ErrNotFound)
	}
	return entry{}, fmt.Errorf("safetensors: %s and %d more shards: tensor %s: %w", s.files[0].path, len(s.files)-1, quote(name), ErrNotFound)
}
