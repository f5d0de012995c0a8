package transformer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers"
)

// Model is a causal language model: an embedding, blocks, a final norm and an output layer. Its parameters are frozen until
// MakeTrainable says otherwise.
type Model struct {
	Config *Config

	embed    *layers.Embedding
	position *layers.Embedding // nil without learned positions
	blocks   []*layers.Block
	norm     layers.Norm
	output   *layers.Linear

	params     []*graph.Param
	linears    []*layers.Linear
	embeddings []*layers.Embedding
	stored     map[*graph.Param]kernel.DType // types before MakeTrainable widened them
	table      *tables                       // rotary tables of the longest text so far

	dir     fs.FS            // where the model came from, nil for one of Random
	weights *safetensors.Set // mapped files that parameters view, nil for a random one
}

// Open loads a Hugging Face model directory: config.json with model.safetensors or the shards of model.safetensors.index.json. The
// weights stay in their stored type and are views of the mapped files. A missing, superfluous or misshapen tensor is an error.
func Open(dir string) (*Model, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	set, err := safetensors.OpenModel(dir)
	if err != nil {
		return nil, fmt.Errorf("transformer: %w", err)
	}
	return load(c, set, dir, os.DirFS(dir))
}

// OpenFS loads a model directory with a single model.safetensors from a file system, such as an embedded one; name stands for its
// path in errors.
func OpenFS(dir fs.FS, name string) (*Model, error) {
	c, err := readConfig(dir, name)
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(dir, "model.safetensors")
	if err != nil {
		return nil, fmt.Errorf("transformer: %s: %w", name, err)
	}
	set, err := safetensors.Parse(name+"/model.safetensors", data)
	if err != nil {
		return nil, fmt.Errorf("transformer: %w", err)
	}
	return load(c, set, name, dir)
}

// load builds the model over set, which it closes on an error.
func load(c *Config, set *safetensors.Set, name string, dir fs.FS) (*Model, error) {
	src := newStored(set, c)
	m := build(c, src)
	if err := src.finish(m); err != nil {
		return nil, errors.Join(fmt.Errorf("transformer: %s: %w", name, err), set.Close())
	}
	m.weights, m.dir = set, dir
	return m, nil
}

// Random returns a model with F32 weights drawn as transformers initialises them: normal with deviation initializer_range, norms
// one, biases zero, and the residual projections of GPT-2 scaled by 1/√(2·layers). The same seed gives the same weights.
func Random(c *Config, seed uint64) (*Model, error) { return RandomAs(c, seed, kernel.F32) }

// RandomAs is Random with all weights rounded to the storage type d: F32, BF16 or F16.
func RandomAs(c *Config, seed uint64, d kernel.DType) (*Model, error) {
	if d == kernel.I32 {
		return nil, fmt.Errorf("transformer: weights of type %v; expected F32, BF16 or F16", d)
	}
	if c.family == nil {
		return nil, errors.New("transformer: a config made by hand has no family; use ParseConfig")
	}
	n := &counter{}
	build(c, n)
	if n.elements > maxRandom {
		return nil, fmt.Errorf("transformer: the config describes %d parameters; at most %d are initialised", n.elements, int64(maxRandom))
	}
	return build(c, &random{config: c, seed: seed, dtype: d}), nil
}

// OpenRandom is Open for a directory whose weights, if it has any, are not read: they are drawn as Random draws them. Save copies the
// directory's tokenizer files as it does for an opened model.
func OpenRandom(dir string, seed uint64) (*Model, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	m, err := Random(c, seed)
	if err != nil {
		return nil, err
	}
	m.dir = os.DirFS(dir)
	return m, nil
}

// build makes all modules of the config's family with the values of src.
func build(c *Config, src source) *Model {
	m := &Model{Config: c, stored: map[*graph.Param]kernel.DType{}}
	c.family.build(&builder{Model: m, src: src})
	return m
}

// Close releases the mapped files. The model must not be used afterwards.
func (m *Model) Close() error {
	if m.weights == nil {
		return nil
	}
	return m.weights.Close()
}

// Params returns all parameters under their Hugging Face tensor names, in the order of the modules; a tied weight occurs once.
func (m *Model) Params() []*graph.Param { return m.params }

// Linears returns all linear modules in order, the output layer last.
func (m *Model) Linears() []*layers.Linear { return m.linears }

// Embeddings returns the token embedding and, where positions are learned, theirs.
func (m *Model) Embeddings() []*layers.Embedding { return m.embeddings }

// Output returns the output layer ("lm_head", or "embed_out" in GPT-NeoX).
func (m *Model) Output() *layers.Linear { return m.output }

// ErrNoMatch is wrapped by the error of MakeTrainable when no parameter matches.
var ErrNoMatch = errors.New("no parameter matches")

// MakeTrainable marks the parameters whose names match as trainable and gives them F32 memory of their own. Call it before building
// graphs.
func (m *Model) MakeTrainable(match func(name string) bool) error {
	found := false
	for _, p := range m.params {
		if !match(p.Name) {
			continue
		}
		found = true
		if p.Trainable {
			continue
		}
		wide := kernel.New(p.Value.Shape...)
		copy(wide.F32, p.Value.Floats())
		m.stored[p] = p.Value.DType
		p.Value, p.Trainable = wide, true
	}
	if !found {
		return fmt.Errorf("transformer: %w; the model has %s", ErrNoMatch, list(m.names()))
	}
	return nil
}

func (m *Model) names() []string {
	names := make([]string, len(m.params))
	for i, p := range m.params {
		names[i] = p.Name
	}
	return names
}

// rope returns the rotary tables for texts of n tokens, without tensors if there is no rotary embedding. Unless the frequencies depend on
// n they are the beginning of one table that all graphs share.
func (m *Model) rope(n int) *tables {
	r := m.Config.Rope
	switch {
	case r == nil:
		return &tables{}
	case r.Type == "dynamic":
		t := r.newTables(n)
		r.fill(t, 0, n, n)
		return t
	case m.table == nil || m.table.cos.Shape[0] < n:
		m.table = r.newTables(n)
		r.fill(m.table, 0, n, n)
	}
	return m.table.head(n)
}
