package adapters

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/layers"
)

// Model is what an adapter needs of a model.
type Model interface {
	// Params returns all parameters; a tied weight occurs once.
	Params() []*graph.Param
	// Linears and Embeddings return the modules that adapters can sit on, in a fixed order.
	Linears() []*layers.Linear
	Embeddings() []*layers.Embedding
	// MakeTrainable marks the parameters whose names match as trainable and gives them F32 values of their own.
	MakeTrainable(match func(name string) bool) error
}

// outputter is implemented by models that have an output layer, which all-linear leaves out as PEFT does.
type outputter interface{ Output() *layers.Linear }

// module is a linear layer or an embedding.
type module struct {
	name      string
	linear    *layers.Linear
	embedding *layers.Embedding
	site      int32 // tells its dropout apart; does not depend on what is adapted
	output    bool
}

// firstSite keeps the sites of adapters apart from those of a model's own dropout.
const firstSite = 1 << 20

// modulesOf lists the modules that can be adapted.
func modulesOf(m Model) []module {
	var out []module
	var head *layers.Linear
	if o, ok := m.(outputter); ok {
		head = o.Output()
	}
	for _, e := range m.Embeddings() {
		out = append(out, module{name: e.Name, embedding: e})
	}
	for _, l := range m.Linears() {
		out = append(out, module{name: l.Name, linear: l, output: l == head})
	}
	for i := range out {
		out[i].site = firstSite + int32(i)
	}
	return out
}

// weight returns the module's weight.
func (m *module) weight() **graph.Param {
	if m.linear != nil {
		return &m.linear.Weight
	}
	return &m.embedding.Weight
}

// bias returns where the module's bias is, nil if it has none.
func (m *module) bias() **graph.Param {
	if m.linear == nil || m.linear.Bias == nil {
		return nil
	}
	return &m.linear.Bias
}
