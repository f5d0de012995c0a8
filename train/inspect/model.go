package inspect

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/geotune/geotune/layers/transformer"
)

// Model describes a language model.
type Model struct {
	Path       string         `json:"path"`
	Kind       string         `json:"kind"` // "model"
	Family     string         `json:"family"`
	Parameters int            `json:"parameters"`
	Types      map[string]int `json:"types"` // parameters by storage type
	Layers     int            `json:"layers"`
	Hidden     int            `json:"hidden_size"`
	Heads      int            `json:"heads"`
	KVHeads    int            `json:"kv_heads"`
	HeadDim    int            `json:"head_dim"`
	Vocabulary int            `json:"vocabulary"`
	Context    int            `json:"context"`
	Tied       bool           `json:"tied_embeddings"`
	Linears    []string       `json:"linears"`
	Embeddings []string       `json:"embeddings"`
}

func describeModel(path string) (*Model, error) {
	m, err := transformer.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	c := m.Config
	d := &Model{
		Path: path, Kind: "model", Family: c.ModelType, Types: map[string]int{}, Layers: c.NumLayers, Hidden: c.HiddenSize, Heads: c.NumHeads,
		KVHeads: c.NumKVHeads, HeadDim: c.HeadDim, Vocabulary: c.VocabSize, Context: c.MaxPositions, Tied: c.Tied,
	}
	for _, p := range m.Params() {
		d.Parameters += p.Value.Shape.Size()
		d.Types[p.Value.DType.String()] += p.Value.Shape.Size()
	}
	for _, l := range m.Linears() {
		d.Linears = append(d.Linears, l.Name)
	}
	for _, e := range m.Embeddings() {
		d.Embeddings = append(d.Embeddings, e.Name)
	}
	return d, nil
}

// WriteText implements Description.
func (d *Model) WriteText(w io.Writer) error {
	var types []string
	for _, t := range slices.Sorted(maps.Keys(d.Types)) {
		types = append(types, fmt.Sprintf("%d in %s", d.Types[t], t))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s model\n", d.Path, d.Family)
	fmt.Fprintf(&b, "parameters  %s\n", strings.Join(types, ", "))
	fmt.Fprintf(&b, "layers      %d of width %d, %d heads of %d, %d key/value heads\n", d.Layers, d.Hidden, d.Heads, d.HeadDim, d.KVHeads)
	fmt.Fprintf(&b, "vocabulary  %d, embeddings tied: %v\ncontext     %d tokens\n", d.Vocabulary, d.Tied, d.Context)
	fmt.Fprintf(&b, "linears     %s\nembeddings  %s\n", strings.Join(lastParts(d.Linears), ", "), strings.Join(d.Embeddings, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}

// lastParts returns the distinct last components of module paths, which is how adapters name their targets.
func lastParts(paths []string) []string {
	var out []string
	for _, p := range paths {
		name := p[strings.LastIndexByte(p, '.')+1:]
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
