package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/geotune/geotune/internal/atomicfile"
)

// bases are the stems under which Hugging Face directories keep their weights, in the order of preference.
var bases = []string{modelBase, "adapter_model", "diffusion_pytorch_model"}

// OpenModel opens the weights of a Hugging Face model directory: model.safetensors, or the shards that model.safetensors.index.json lists. Of the shards
// every listed tensor must be where the index says and no other tensor may be there.
func OpenModel(dir string) (*Set, error) {
	s, err := openBase(dir, modelBase)
	if errors.Is(err, errNoWeights) {
		return nil, missing(dir, modelBase)
	}
	return s, err
}

// OpenAny opens a file, or the weights of a directory of a model, a PEFT adapter or a diffusers component (model, adapter_model,
// diffusion_pytorch_model), sharded or not.
func OpenAny(path string) (*Set, error) {
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		return Open(path)
	}
	for _, base := range bases {
		if s, err := openBase(path, base); !errors.Is(err, errNoWeights) {
			return s, err
		}
	}
	return nil, missing(path, strings.Join(bases, " or "))
}

// errNoWeights says that a directory has neither the file nor the index of a base.
var errNoWeights = fmt.Errorf("no weights: %w", fs.ErrNotExist)

// missing explains what a directory without weights has instead.
func missing(dir, base string) error {
	found := weightFiles(dir)
	if len(found) == 0 {
		return fmt.Errorf("safetensors: %s: %w; expected %s.safetensors or its .index.json", dir, errNoWeights, base)
	}
	return fmt.Errorf("safetensors: %s: %w; expected %s.safetensors or its .index.json, found %s", dir, errNoWeights, base, strings.Join(found, ", "))
}

// weightFiles returns the names of a directory's safetensors files and indexes, none for a directory that cannot be read.
func weightFiles(dir string) []string {
	entries, _ := os.ReadDir(dir) // what cannot be read is reported by whoever opens or writes it
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.Contains(name, ".safetensors") && !atomicfile.IsTemp(name) {
			names = append(names, name)
		}
	}
	return names
}

// openBase opens base.safetensors or the shards of its index; errNoWeights when neither is there.
func openBase(dir, base string) (*Set, error) {
	single := filepath.Join(dir, base+".safetensors")
	if _, err := os.Stat(single); !errors.Is(err, fs.ErrNotExist) {
		return Open(single)
	}
	path := filepath.Join(dir, base+indexSuffix)
	weightMap, err := readIndex(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoWeights
	}
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	s := &Set{}
	if err := s.openShards(path, weightMap); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openShards adds the files that the index at path lists and checks that they hold exactly the tensors listed.
func (s *Set) openShards(path string, weightMap map[string]string) error {
	mismatch := func(format string, args ...any) error {
		return fmt.Errorf("safetensors: %s: %s; index and shards do not belong together", path, fmt.Sprintf(format, args...))
	}
	for _, shard := range shardNames(weightMap) {
		f, tensors, err := openFile(filepath.Join(filepath.Dir(path), shard))
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		for _, t := range tensors {
			if listed := weightMap[t.Name]; listed != shard {
				return mismatch("tensor %s is in shard %s, but the index has it in %s", quote(t.Name), shard, orNowhere(listed))
			}
			s.tensors = append(s.tensors, t)
		}
	}
	slices.SortFunc(s.tensors, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	if len(s.tensors) == len(weightMap) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(weightMap)) {
		if _, err := s.find(name); err != nil {
			return mismatch("tensor %s is not in shard %s, where the index has it", quote(name), weightMap[name])
		}
	}
	return mismatch("the index lists %d tensors, the shards hold %d", len(weightMap), len(s.tensors))
}

func orNowhere(shard string) string {
	if shard == "" {
		return "no shard"
	}
	return shard
}

// shardNames returns the files of an index in lexical order.
func shardNames(weightMap map[string]string) []string {
	return slices.Compact(slices.Sorted(maps.Values(weightMap)))
}

// checkShardName lets only plain names of files beside the index through, so that a downloaded index cannot point elsewhere.
func checkShardName(name string) error {
	if strings.ContainsAny(name, "/\\:\x00") || !filepath.IsLocal(name) || !strings.HasSuffix(name, ".safetensors") {
		return fmt.Errorf("shard %s is not the plain name of a safetensors file", quote(name))
	}
	return nil
}
