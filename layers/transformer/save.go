package transformer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/internal/safetensors"
)

// companions are the files of a model directory that go along unchanged.
var companions = []string{
	"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
}

// SaveOption changes how Save writes a model.
type SaveOption func(*saveSettings)

type saveSettings struct {
	dtype *kernel.DType
	shard int64
}

// StoredAs converts all weights to d (F32, BF16 or F16, rounding to nearest) instead of the types they were loaded in.
func StoredAs(d kernel.DType) SaveOption { return func(s *saveSettings) { s.dtype = &d } }

// ShardBytes limits the size of a weights file; the default is 5e9 bytes.
func ShardBytes(n int64) SaveOption { return func(s *saveSettings) { s.shard = n } }

// Save writes a complete Hugging Face directory, replacing dir atomically: config.json as it was read but for a torch_dtype that is
// true to the weights, the weights under their Hugging Face names, and the tokenizer and generation files of the directory the model
// was opened from. Adapters are not part of it.
func (m *Model) Save(dir string, options ...SaveOption) error {
	s := saveSettings{shard: 5e9}
	for _, o := range options {
		o(&s)
	}
	config, err := withDType(m.Config.raw, m.mainDType(s.dtype))
	if err != nil {
		return fmt.Errorf("transformer: save %s: config: %w", dir, err)
	}
	tensors := make([]safetensors.Tensor, len(m.params))
	for i, p := range m.params {
		if tensors[i], err = m.tensorOf(p, s.dtype); err != nil {
			return fmt.Errorf("transformer: save %s: %w", dir, err)
		}
	}
	err = atomicfile.WriteDir(dir, func(tmp string) error {
		if err := os.WriteFile(filepath.Join(tmp, configFile), config, 0o666); err != nil {
			return err
		}
		if err := m.copyCompanions(tmp); err != nil {
			return err
		}
		return safetensors.WriteSharded(tmp, tensors, s.shard)
	})
	if err != nil {
		return fmt.Errorf("transformer: save: %w", err)
	}
	return nil
}

// tensorOf describes a parameter for writing.
func (m *Model) tensorOf(p *graph.Param, as *kernel.DType) (safetensors.Tensor, error) {
	d := m.dtypeOf(p, as)
	if d == kernel.I32 {
		return safetensors.Tensor{}, fmt.Errorf("parameter %s: found type %v, expected F32, BF16 or F16", p.Name, d)
	}
	name, t := safetensors.DType(d.String()), p.Value
	return safetensors.Tensor{Name: p.Name, DType: name, Shape: t.Shape, Data: func(w io.Writer) error {
		if t.DType != d {
			return safetensors.Floats(p.Name, name, t.Shape, t.Floats()).Data(w)
		}
		if d == kernel.F32 {
			return safetensors.Floats(p.Name, name, t.Shape, t.F32).Data(w)
		}
		return safetensors.Integers(p.Name, t.Shape, t.U16).Data(w) // the bits of 16-bit floats
	}}, nil
}

// dtypeOf returns the type in which a parameter is written.
func (m *Model) dtypeOf(p *graph.Param, as *kernel.DType) kernel.DType {
	if as != nil {
		return *as
	}
	if d, ok := m.stored[p]; ok {
		return d
	}
	return p.Value.DType
}

// mainDType returns the type of most of the saved numbers, which config.json names.
func (m *Model) mainDType(as *kernel.DType) kernel.DType {
	count := map[kernel.DType]int{}
	best := m.dtypeOf(m.params[0], as)
	for _, p := range m.params {
		d := m.dtypeOf(p, as)
		if count[d] += p.Value.Shape.Size(); count[d] > count[best] {
			best = d
		}
	}
	return best
}

// withDType returns a config whose torch_dtype (dtype in files of transformers 5) is d, with all other bytes as they were.
func withDType(config []byte, d kernel.DType) ([]byte, error) {
	want := []byte(`"` + d.Torch() + `"`)
	dec := json.NewDecoder(bytes.NewReader(config))
	if _, err := dec.Token(); err != nil { // the opening brace
		return nil, err
	}
	open := dec.InputOffset()
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if key == "torch_dtype" || key == "dtype" {
			end := dec.InputOffset()
			return bytes.Join([][]byte{config[:end-int64(len(value))], want, config[end:]}, nil), nil
		}
	}
	return bytes.Join([][]byte{config[:open], []byte("\n  \"torch_dtype\": "), want, []byte(","), config[open:]}, nil), nil
}

// copyCompanions copies the files beside the weights that the source directory has.
func (m *Model) copyCompanions(dst string) error {
	if m.dir == nil {
		return nil
	}
	for _, name := range companions {
		data, err := fs.ReadFile(m.dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dst, name), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}
