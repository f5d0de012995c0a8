package transformer

import (
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
)

// family is a kind of model: how its config is read and how its modules are made and named.
type family struct {
	modelType    string // model_type in config.json
	architecture string // the causal language model among its architectures
	parse        func(f *fields, c *Config)
	build        func(b *builder)
	// prefix may be missing from all tensor names of a file (GPT-2 as OpenAI published it).
	prefix string
	// buffers are suffixes of tensors that older files hold although they are constants.
	buffers []string
}

// families is the table of what this package can build. A new family is one file and one line here.
var families = []*family{
	&llama,
	&mistral,
	&qwen2,
	&qwen3,
	&gemma,
	&gpt2,
	&gptNeoX,
}

func familyOf(modelType string) *family {
	for _, f := range families {
		if f.modelType == modelType {
			return f
		}
	}
	return nil
}

func familyNames() []string {
	names := make([]string, len(families))
	for i, f := range families {
		names[i] = f.modelType
	}
	return names
}

// initKind says how a weight begins when it is not loaded.
type initKind int

const (
	initNormal   initKind = iota // N(0, InitStd²)
	initResidual                 // N(0, InitStd²/(2·layers)): output projections of GPT-2
	initZero
	initOne
)

// source provides the values of parameters.
type source interface {
	// tensor returns the tensor of that name and shape; on an error, which the source keeps, it returns a placeholder.
	tensor(name string, shape kernel.Shape, init initKind) *kernel.Tensor
}

// builder makes modules and registers them in the model, in the order of transformers' state_dict.
type builder struct {
	*Model
	src source
}

func (b *builder) param(name string, init initKind, shape ...int) *graph.Param {
	p := graph.FrozenParam(name, b.src.tensor(name, shape, init))
	b.params = append(b.params, p)
	return p
}

// linear makes a module with weight (out, in).
func (b *builder) linear(name string, in, out int, bias bool) *layers.Linear {
	l := &layers.Linear{Name: name, In: in, Out: out, Weight: b.param(name+".weight", initNormal, out, in)}
	if bias {
		l.Bias = b.param(name+".bias", initZero, out)
	}
	b.linears = append(b.linears, l)
	return l
}

// conv1D makes GPT-2's linear module with weight (in, out).
func (b *builder) conv1D(name string, in, out int, init initKind) *layers.Linear {
	l := &layers.Linear{Name: name, In: in, Out: out, InOut: true, Weight: b.param(name+".weight", init, in, out)}
	l.Bias = b.param(name+".bias", initZero, out)
	b.linears = append(b.linears, l)
	return l
}

func (b *builder) embedding(name string, num int) *layers.Embedding {
	e := &layers.Embedding{
		Name: name, Num: num, Dim: b.Config.HiddenSize, Scale: 1, Weight: b.param(name+".weight", initNormal, num, b.Config.HiddenSize),
	}
	b.embeddings = append(b.embeddings, e)
	return e
}

// head makes the output layer, which has the embedding's weight when the config ties them.
func (b *builder) head(name string) {
	if !b.Config.Tied {
		b.output = b.linear(name, b.Config.HiddenSize, b.Config.VocabSize, false)
		return
	}
	b.output = &layers.Linear{Name: name, In: b.Config.HiddenSize, Out: b.Config.VocabSize, Weight: b.embed.Weight}
	b.linears = append(b.linears, b.output)
}

func (b *builder) rmsNorm(name string, width int, offset float32) *layers.RMSNorm {
	init := initOne
	if offset == 1 {
		init = initZero
	}
	return &layers.RMSNorm{Name: name, Weight: b.param(name+".weight", init, width), Eps: b.Config.NormEps, Offset: offset}
}

func (b *builder) layerNorm(name string) *layers.LayerNorm {
	width := b.Config.HiddenSize
	return &layers.LayerNorm{
		Name: name, Weight: b.param(name+".weight", initOne, width), Bias: b.param(name+".bias", initZero, width), Eps: b.Config.NormEps,
	}
}
