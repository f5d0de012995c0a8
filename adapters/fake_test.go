package adapters_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers"
)

// fake is a model without a forward pass: the modules of a small Llama under their names, with norms, a bias on q_proj and an output
// layer that may be tied to the embedding.
type fake struct {
	params     []*graph.Param
	linears    []*layers.Linear
	embeddings []*layers.Embedding
	output     *layers.Linear
}

func (m *fake) Params() []*graph.Param          { return m.params }
func (m *fake) Linears() []*layers.Linear       { return m.linears }
func (m *fake) Embeddings() []*layers.Embedding { return m.embeddings }
func (m *fake) Output() *layers.Linear          { return m.output }

func (m *fake) MakeTrainable(match func(string) bool) error {
	for _, p := range m.params {
		if match(p.Name) {
			wide := kernel.New(p.Value.Shape...)
			copy(wide.F32, p.Value.Floats())
			p.Value, p.Trainable = wide, true
		}
	}
	return nil
}

// fakeOptions vary the model.
type fakeOptions struct {
	tied, inOut bool
	dtype       kernel.DType
}

const (
	fakeWidth, fakeHidden, fakeVocab, fakeLayers = 8, 12, 10, 2
)

func newFake(o fakeOptions) *fake {
	m := &fake{}
	rng := rand.New(rand.NewPCG(7, 9))
	param := func(name string, shape ...int) *graph.Param {
		values := make([]float32, kernel.Shape(shape).Size())
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
		p := graph.FrozenParam(name, store(values, o.dtype, shape))
		m.params = append(m.params, p)
		return p
	}
	linear := func(name string, in, out int, bias bool) *layers.Linear {
		l := &layers.Linear{Name: name, In: in, Out: out, InOut: o.inOut}
		if o.inOut {
			l.Weight = param(name+".weight", in, out)
		} else {
			l.Weight = param(name+".weight", out, in)
		}
		if bias {
			l.Bias = param(name+".bias", out)
		}
		m.linears = append(m.linears, l)
		return l
	}
	embed := &layers.Embedding{Name: "model.embed_tokens", Num: fakeVocab, Dim: fakeWidth, Scale: 1}
	embed.Weight = param("model.embed_tokens.weight", fakeVocab, fakeWidth)
	m.embeddings = append(m.embeddings, embed)
	for i := range fakeLayers {
		prefix := fmt.Sprintf("model.layers.%d.", i)
		linear(prefix+"self_attn.q_proj", fakeWidth, fakeWidth, true)
		linear(prefix+"self_attn.v_proj", fakeWidth, 4, false)
		linear(prefix+"mlp.up_proj", fakeWidth, fakeHidden, false)
		linear(prefix+"mlp.down_proj", fakeHidden, fakeWidth, false)
		param(prefix+"input_layernorm.weight", fakeWidth)
		param(prefix+"input_layernorm.bias", fakeWidth)
	}
	m.output = &layers.Linear{Name: "lm_head", In: fakeWidth, Out: fakeVocab, Weight: embed.Weight}
	if !o.tied {
		m.output.Weight = param("lm_head.weight", fakeVocab, fakeWidth)
	}
	m.linears = append(m.linears, m.output)
	return m
}

// store returns values in a storage type.
func store(values []float32, d kernel.DType, shape []int) *kernel.Tensor {
	t := &kernel.Tensor{DType: d, Shape: shape}
	if d == kernel.F32 {
		t.F32 = values
		return t
	}
	for _, v := range values {
		t.U16 = append(t.U16, safetensors.ToBFloat16(v))
	}
	return t
}

// snapshot records everything a detached adapter must have restored.
func (m *fake) snapshot() string {
	var b strings.Builder
	for _, p := range m.params {
		fmt.Fprintln(&b, p.Name, p.Trainable, p.Value.DType, p.Value.Floats())
	}
	for _, l := range m.linears {
		fmt.Fprintf(&b, "%s %p %p %v\n", l.Name, l.Weight, l.Bias, l.Adapter)
	}
	for _, e := range m.embeddings {
		fmt.Fprintf(&b, "%s %p %v\n", e.Name, e.Weight, e.Adapter)
	}
	return b.String()
}

func attach(t testing.TB, m adapters.Model, c adapters.Config) *adapters.Adapter {
	t.Helper()
	a, err := adapters.Attach(m, c, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// perturb gives every trained value something else than its start.
func perturb(a *adapters.Adapter) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, t := range a.Trainables() {
		for i := range t.Param.Value.F32 {
			t.Param.Value.F32[i] += 0.1 * float32(rng.NormFloat64())
		}
	}
}
