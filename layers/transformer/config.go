package transformer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/geotune/geotune/layers"
)

// Limits of a config's sizes, far above any published model; products of two of them fit an int with room to spare.
const (
	maxConfigBytes = 1 << 20
	maxVocab       = 1 << 24
	maxWidth       = 1 << 20
	maxLayers      = 1 << 10
	maxHeads       = 1 << 12
	maxHeadDim     = 1 << 13
	maxPositions   = 1 << 27
)

// Config is a validated config.json. ParseConfig, ReadConfig and the models' Config field are the ways to get one.
type Config struct {
	ModelType string // e.g. "llama"

	VocabSize, HiddenSize, IntermediateSize  int
	NumLayers, NumHeads, NumKVHeads, HeadDim int
	MaxPositions                             int // context length the model was made for

	Activation string  // layers.SiLU, ...
	NormEps    float32 // of RMSNorm or LayerNorm
	Rope       *Rope   // nil: positions are learned
	Windows    []int   // sliding window of each layer; 0: none
	Tied       bool    // the output layer's weight is the embedding's
	InitStd    float64 // initializer_range

	AttentionBias, AttentionOutBias, MLPBias bool
	ParallelResidual                         bool // GPT-NeoX: use_parallel_residual
	UnscaledAttention, ScaleByInverseLayer   bool // GPT-2: scale_attn_weights is false, scale_attn_by_inverse_layer_idx is true

	BOS, EOS, PAD []int32 // token ids, empty where not set

	family *family
	raw    []byte // the file
}

const configFile = "config.json"

// ReadConfig reads config.json of a Hugging Face model directory.
func ReadConfig(dir string) (*Config, error) { return readConfig(os.DirFS(dir), dir) }

// readConfig reads config.json of a directory whose path in errors is name.
func readConfig(dir fs.FS, name string) (*Config, error) {
	path := name + "/" + configFile
	st, err := fs.Stat(dir, configFile) // before opening: a pipe would block
	if err != nil {
		return nil, fmt.Errorf("transformer: %s: %w", path, err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxConfigBytes {
		return nil, fmt.Errorf("transformer: %s: found %v of %d bytes, expected a file of at most %d", path, st.Mode(), st.Size(), maxConfigBytes)
	}
	data, err := fs.ReadFile(dir, configFile)
	if err != nil {
		return nil, fmt.Errorf("transformer: %s: %w", path, err)
	}
	return ParseConfig(path, data)
}

// ParseConfig reads a config.json; name stands for its path in errors. What the config asks for and geotune does not do is an error
// that names the field.
func ParseConfig(name string, data []byte) (*Config, error) {
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("transformer: %s: larger than %d bytes; this is no model config", name, maxConfigBytes)
	}
	f := &fields{file: name}
	if err := json.Unmarshal(data, &f.raw); err != nil {
		return nil, fmt.Errorf("transformer: %s: not a JSON object: %w", name, err)
	}
	c := &Config{raw: bytes.Clone(data), ModelType: f.str("model_type")}
	if c.family = familyOf(c.ModelType); c.family == nil {
		f.reject("model_type", "one of "+strings.Join(familyNames(), ", "))
		return nil, f.err
	}
	c.refuse(f)
	c.family.parse(f, c)
	c.finish(f)
	if f.err != nil {
		return nil, f.err
	}
	return c, nil
}

// unsupported lists fields that change what a model computes in ways geotune does not know, with the remedy if there is one.
var unsupported = []struct{ field, why string }{
	{"quantization_config", "quantized weights; use the model's float16 or bfloat16 version"},
	{"compression_config", "compressed weights; use the model's float16 or bfloat16 version"},
	{"num_experts", "mixture of experts"},
	{"num_local_experts", "mixture of experts"},
	{"n_routed_experts", "mixture of experts"},
	{"moe_intermediate_size", "mixture of experts"},
	{"attn_logit_softcapping", "soft-capped attention scores"},
	{"final_logit_softcapping", "soft-capped logits"},
	{"use_bidirectional_attention", "attention to later tokens"},
	{"is_encoder_decoder", "an encoder beside the decoder"},
	{"add_cross_attention", "cross-attention"},
	{"pruned_heads", "pruned attention heads"},
	{"use_mrope", "rotary embedding with several position axes"},
}

// refuse records an error for whatever no family of this package does.
func (c *Config) refuse(f *fields) {
	for _, u := range unsupported {
		if !f.neutral(u.field) {
			f.failf(u.field, "found %s, which asks for %s; geotune does not support it", f.text(u.field), u.why)
		}
	}
	archs := f.strings("architectures", 16)
	for _, a := range archs {
		if a == c.family.architecture {
			return
		}
	}
	if len(archs) > 0 {
		f.reject("architectures", c.family.architecture)
	}
}

// sizes reads the fields that all families but GPT-2 have in common.
func (c *Config) sizes(f *fields) {
	c.VocabSize = f.integer("vocab_size", required, 1, maxVocab)
	c.HiddenSize = f.integer("hidden_size", required, 1, maxWidth)
	c.IntermediateSize = f.integer("intermediate_size", required, 1, maxWidth)
	c.NumLayers = f.integer("num_hidden_layers", required, 1, maxLayers)
	c.NumHeads = f.integer("num_attention_heads", required, 1, maxHeads)
	c.InitStd = f.number("initializer_range", 0.02, 0, 10)
}

// headDim derives the width of a head where the config does not state it.
func (c *Config) headDim(f *fields, name string) {
	if c.HeadDim == 0 && c.NumHeads > 0 {
		if c.HeadDim = c.HiddenSize / c.NumHeads; c.HeadDim*c.NumHeads != c.HiddenSize {
			f.reject(name, fmt.Sprintf("a divisor of the hidden size %d", c.HiddenSize))
		}
	}
}

// activations maps the names of transformers to those of package layers.
var activations = map[string]string{
	"silu": layers.SiLU, "swish": layers.SiLU, "gelu": layers.GELU, "relu": layers.ReLU,
	"gelu_new": layers.GELUTanh, "gelu_fast": layers.GELUTanh, "gelu_pytorch_tanh": layers.GELUTanh,
}

// gatedActs are the names that a gated MLP accepts, plainActs those of an ungated one.
var (
	gatedActs = []string{"silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"}
	plainActs = append([]string{"relu"}, gatedActs...)
)

// finish checks what concerns several fields and reads what all families share.
func (c *Config) finish(f *fields) {
	if f.err != nil {
		return
	}
	if c.NumHeads%c.NumKVHeads != 0 {
		f.reject("num_key_value_heads", fmt.Sprintf("a divisor of the %d attention heads", c.NumHeads))
	}
	if c.NumHeads*c.HeadDim > maxWidth {
		f.failf("head_dim", "%d heads of %d are wider than the limit of %d", c.NumHeads, c.HeadDim, maxWidth)
	}
	if c.Windows == nil {
		c.Windows = make([]int, c.NumLayers)
	}
	c.EOS = f.ids("eos_token_id", c.VocabSize)
	c.BOS = f.ids("bos_token_id", c.VocabSize)
	c.PAD = f.ids("pad_token_id", c.VocabSize)
}

// windows sets the sliding window of each layer: layer_types decides where it is given, first tells the first layer with a window
// otherwise.
func (c *Config) windows(f *fields, window, first int) {
	if f.err != nil {
		return
	}
	c.Windows = make([]int, c.NumLayers)
	types := f.strings("layer_types", maxLayers)
	if types != nil && len(types) != c.NumLayers {
		f.failf("layer_types", "found %d entries, expected one for each of the %d layers", len(types), c.NumLayers)
		return
	}
	for i := range c.Windows {
		sliding := i >= first
		if types != nil {
			sliding = types[i] == "sliding_attention"
			if !sliding && types[i] != "full_attention" {
				f.failf("layer_types", "found %q, expected full_attention or sliding_attention", types[i])
			}
		}
		if sliding {
			c.Windows[i] = window
		}
	}
}
