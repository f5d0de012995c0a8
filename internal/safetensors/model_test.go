package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/internal/atomicfile"
)

// layers returns tensors of 24 bytes each.
func layers(n int) []Tensor {
	var out []Tensor
	for i := range n {
		out = append(out, rawOf(fmt.Sprintf("layers.%d", i), F32, 2, 3))
	}
	return out
}

func TestShardsReadAsOneModel(t *testing.T) {
	tensors := layers(7)
	for _, c := range []struct {
		limit  int64
		shards int
	}{{1 << 40, 1}, {168, 1}, {167, 2}, {50, 4}, {24, 7}, {1, 7}} {
		dir := t.TempDir()
		if err := WriteSharded(dir, tensors, c.limit); err != nil {
			t.Fatal(err)
		}
		s, err := OpenModel(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(s.Paths()); got != c.shards || s.Len() != len(tensors) || s.Metadata()["format"] != "pt" {
			t.Errorf("limit %d: %d shards, %d tensors, metadata %v", c.limit, got, s.Len(), s.Metadata())
		}
		for _, x := range tensors {
			if b, err := s.Bytes(x.Name); err != nil || !bytes.Equal(b, collect(t, x)) {
				t.Errorf("limit %d: tensor %s: other bytes, %v", c.limit, x.Name, err)
			}
		}
		if _, err := s.Bytes("nobody"); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := WriteSharded(dir, tensors, c.limit); err == nil || !strings.Contains(err.Error(), "already holds") {
			t.Errorf("second write: error %v", err)
		}
	}
}

func TestTheIndexHasTheFieldsOfHuggingFace(t *testing.T) {
	dir := t.TempDir()
	if err := WriteSharded(dir, layers(2), 24); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "metadata": {
    "total_size": 48
  },
  "weight_map": {
    "layers.0": "model-00001-of-00002.safetensors",
    "layers.1": "model-00002-of-00002.safetensors"
  }
}
`
	if string(got) != want {
		t.Errorf("index is\n%s", got)
	}
}

func TestALyingIndexIsRefused(t *testing.T) {
	const a, b = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	honest := fmt.Sprintf(`"layers.0":%q,"layers.1":%q`, a, b)
	for _, c := range []struct{ name, index, reason string }{
		{"missing tensor", `{"weight_map":{` + honest + `,"layers.2":"` + b + `"}}`, "is not in shard"},
		{"tensor in another shard", fmt.Sprintf(`{"weight_map":{"layers.0":%q,"layers.1":%q}}`, b, a), "do not belong together"},
		{"stray tensor", fmt.Sprintf(`{"weight_map":{"layers.0":%q,"other":%q}}`, a, b), "no shard"},
		{"missing shard", `{"weight_map":{` + honest + `,"x":"c.safetensors"}}`, "c.safetensors"},
		{"folder", `{"weight_map":{"x":"sub/a.safetensors"}}`, "plain name"},
		{"backslash", `{"weight_map":{"x":"sub\\a.safetensors"}}`, "plain name"},
		{"parent", `{"weight_map":{"x":"../a.safetensors"}}`, "plain name"},
		{"dots", `{"weight_map":{"x":".."}}`, "plain name"},
		{"absolute", `{"weight_map":{"x":"/etc/passwd.safetensors"}}`, "plain name"},
		{"drive", `{"weight_map":{"x":"C:a.safetensors"}}`, "plain name"},
		{"empty shard", `{"weight_map":{"x":""}}`, "plain name"},
		{"other kind of file", `{"weight_map":{"x":"pytorch_model.bin"}}`, "plain name"},
		{"duplicate tensor", `{"weight_map":{` + honest + `,` + honest + `}}`, "occurs twice"},
		{"duplicate map", `{"weight_map":{` + honest + `},"weight_map":{` + honest + `}}`, "occurs twice"},
		{"no map", `{"metadata":{"total_size":48}}`, "missing or empty"},
		{"empty map", `{"weight_map":{}}`, "missing or empty"},
		{"number as shard", `{"weight_map":{"x":1}}`, "a string"},
		{"nesting", `{"metadata":` + strings.Repeat("[", 1e6), "nested"},
		{"bad value", `{"metadata":{"total_size":nope}}`, "a value"},
		{"truncated", `{"weight_map":{`, "a string"},
		{"trailing", `{"weight_map":{` + honest + `}}x`, "end of the text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := WriteSharded(dir, layers(2), 24); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "model.safetensors.index.json")
			if err := os.WriteFile(path, []byte(c.index), 0o666); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenModel(dir); err == nil || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want the folder and %q", err, c.reason)
			}
		})
	}
}

func TestIndexesOfOthersMayHoldMore(t *testing.T) {
	dir := t.TempDir()
	if err := WriteSharded(dir, layers(2), 24); err != nil {
		t.Fatal(err)
	}
	index := `{"metadata":{"total_parameters":12,"total_size":4.8e1,"x":[true,null,-1,{"y":"z"}]},
		"weight_map":{"layers.0":"model-00001-of-00002.safetensors","layers.1":"model-00002-of-00002.safetensors"}}`
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), []byte(index), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := OpenAny(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAnyFindsEachKindOfWeights(t *testing.T) {
	for _, name := range []string{"model", "adapter_model", "diffusion_pytorch_model"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name+".safetensors")
		if err := Write(path, layers(1), nil); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{dir, path} {
			s, err := OpenAny(p)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Paths(), []string{path}) {
				t.Errorf("%s: opened %v", p, s.Paths())
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestMissingWeightsAreExplained(t *testing.T) {
	dir := t.TempDir()
	_, empty := OpenModel(dir)
	_, absent := OpenAny(filepath.Join(dir, "nowhere"))
	_, folder := Open(dir)
	if err := Write(filepath.Join(dir, "weights.safetensors"), nil, nil); err != nil {
		t.Fatal(err)
	}
	_, other := OpenAny(dir)
	for _, err := range []error{empty, absent, other} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v, want a missing file in %s", err, dir)
		}
	}
	if folder == nil || !strings.Contains(folder.Error(), "regular file") {
		t.Errorf("error %v for a folder", folder)
	}
	if !strings.Contains(other.Error(), "found weights.safetensors") {
		t.Errorf("error %v does not say what is there", other)
	}
}

func TestACrashWhileShardingLeavesNoModel(t *testing.T) {
	crash := errors.New("crash")
	for i := 1; ; i++ {
		dir, n := t.TempDir(), 0
		restore := atomicfile.SetHook(func(atomicfile.Op, string) error {
			if n++; n >= i {
				return crash
			}
			return nil
		})
		err := WriteSharded(dir, layers(3), 24)
		restore()
		if err == nil {
			return
		}
		s, err := OpenModel(dir)
		if err == nil { // the crash came after the index took its name
			if s.Len() != 3 {
				t.Fatalf("operation %d: half a model of %d tensors is readable", i, s.Len())
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
