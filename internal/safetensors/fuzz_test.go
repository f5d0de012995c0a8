package safetensors

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen checks that no input panics, that what is accepted lies within the file and reads the same to nlpodyssey, and that it survives being written again.
func FuzzOpen(f *testing.F) {
	f.Add(encode(f, nil, nil))
	f.Add(encode(f, []Tensor{rawOf("x", F32, 2)}, map[string]string{"format": "pt"}))
	f.Add(encode(f, []Tensor{rawOf("a", "F8_E4M3", 3), rawOf("b", BF16), rawOf("é\"\\", I64, 1, 2), rawOf("", U8, 0)}, nil))
	f.Add([]byte("\x38\x00\x00\x00\x00\x00\x00\x00{\"\\u0078\": {\"shape\":[], \"dtype\":\"U8\", \"data_offsets\":[0,1]}}*"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		agree(t, data, s)
		again := rewrite(t, s)
		r := parse(t, again)
		if r.Len() != s.Len() {
			t.Fatalf("%d tensors became %d", s.Len(), r.Len())
		}
		for _, name := range s.Names() {
			a, errA := s.Bytes(name)
			b, errB := r.Bytes(name)
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Fatalf("tensor %q changed: %v, %v", name, errA, errB)
			}
		}
		if !bytes.Equal(rewrite(t, r), again) {
			t.Fatal("writing is not a fixed point")
		}
	})
}

func rewrite(t *testing.T, s *Set) []byte {
	t.Helper()
	var tensors []Tensor
	for _, name := range s.Names() {
		x, err := s.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	return encode(t, tensors, s.Metadata())
}

// FuzzIndex checks that no index makes OpenModel panic or open a file outside its folder.
func FuzzIndex(f *testing.F) {
	f.Add(`{"metadata":{"total_size":48},"weight_map":{"layers.0":"model-00001-of-00002.safetensors","layers.1":"model-00002-of-00002.safetensors"}}`)
	f.Add(`{"weight_map":{"x":"../x.safetensors"}}`)
	dir := f.TempDir()
	if err := WriteSharded(dir, layers(2), 24); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, index string) {
		if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(index), 0o666); err != nil {
			t.Fatal(err)
		}
		s, err := OpenModel(dir)
		if err != nil {
			return
		}
		for _, path := range s.Paths() {
			if filepath.Dir(path) != dir {
				t.Errorf("opened %s", path)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
