package safetensors

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/geotune/geotune/internal/atomicfile"
)

// modelBase is the stem of a model's files in a Hugging Face directory.
const modelBase = "model"

const indexSuffix = ".safetensors.index.json"

// index is the content of a model.safetensors.index.json.
type index struct {
	Metadata  indexMetadata     `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"`
}

type indexMetadata struct {
	TotalSize int64 `json:"total_size"` // of all tensors, in bytes
}

// WriteSharded writes a model into dir as Hugging Face transformers does: model.safetensors where everything fits maxShardBytes (5e9 is usual), else
// model-00001-of-0000N.safetensors with model.safetensors.index.json, which is written last. Tensors fill the shards in the given order; one that is
// larger than the limit has a shard to itself. A dir that already holds a model is refused: a crash halfway would mix both. To replace one, call
// it inside [atomicfile.WriteDir].
func WriteSharded(dir string, tensors []Tensor, maxShardBytes int64) error {
	for _, name := range weightFiles(dir) {
		if strings.HasPrefix(name, modelBase) {
			return fmt.Errorf("safetensors: %s: already holds %s; write the model into a new directory", dir, name)
		}
	}
	shards, total, err := splitShards(tensors, maxShardBytes)
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", dir, err)
	}
	if len(shards) == 1 {
		return Write(filepath.Join(dir, modelBase+".safetensors"), tensors, transformersMetadata())
	}
	idx := index{indexMetadata{total}, make(map[string]string, len(tensors))}
	for i, shard := range shards {
		name := fmt.Sprintf("%s-%05d-of-%05d.safetensors", modelBase, i+1, len(shards))
		if err := Write(filepath.Join(dir, name), shard, transformersMetadata()); err != nil {
			return err
		}
		for _, t := range shard {
			idx.WeightMap[t.Name] = name
		}
	}
	return idx.write(filepath.Join(dir, modelBase+indexSuffix))
}

// transformersMetadata is what transformers asks for in every file.
func transformersMetadata() map[string]string { return map[string]string{"format": "pt"} }

// splitShards cuts the tensors into runs of at most limit bytes, at least one run, and returns the size of all.
func splitShards(tensors []Tensor, limit int64) (shards [][]Tensor, total int64, err error) {
	seen := make(map[string]bool, len(tensors))
	begin, fill := 0, int64(0)
	for i, t := range tensors {
		size, err := byteSize(t.DType, t.Shape)
		if err == nil && seen[t.Name] {
			err = fmt.Errorf("given twice")
		}
		if err == nil && size > math.MaxInt64-total {
			err = fmt.Errorf("the model's size overflows")
		}
		if err != nil {
			return nil, 0, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		seen[t.Name] = true
		if i > begin && size > limit-fill {
			shards = append(shards, tensors[begin:i])
			begin, fill = i, 0
		}
		fill += size
		total += size
	}
	return append(shards, tensors[begin:]), total, nil
}

func (x index) write(path string) error {
	text, err := json.MarshalIndent(x, "", "  ")
	if err == nil {
		err = atomicfile.WriteBytes(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return nil
}

// readIndex reads and validates an index file: no duplicate names, and shards that are plain file names.
func readIndex(path string) (weightMap map[string]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHeader+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxHeader {
		return nil, fmt.Errorf("index is over the limit of %d bytes", maxHeader)
	}
	s := &scanner{text: text}
	err = s.object(func(key string) error {
		if key != "weight_map" {
			return s.skip(maxIndexNesting)
		}
		if weightMap != nil {
			return s.errorf("weight_map occurs twice")
		}
		weightMap = map[string]string{}
		return scanWeightMap(s, weightMap)
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && len(weightMap) == 0 {
		err = fmt.Errorf("weight_map is missing or empty")
	}
	return weightMap, err
}

// maxIndexNesting bounds the depth of values in an index that are not read.
const maxIndexNesting = 16

func scanWeightMap(s *scanner, weightMap map[string]string) error {
	shards := map[string]string{} // one copy of each shard's name
	return s.object(func(name string) error {
		shard, err := s.string()
		if err != nil {
			return err
		}
		if _, dup := weightMap[name]; dup {
			return s.errorf("tensor %s occurs twice", quote(name))
		}
		if len(weightMap) == maxTensors {
			return s.errorf("more than %d tensors", maxTensors)
		}
		if shards[shard] == "" {
			if err := checkShardName(shard); err != nil {
				return s.errorf("tensor %s: %w", quote(name), err)
			}
			shards[shard] = shard
		}
		weightMap[name] = shards[shard]
		return nil
	})
}
