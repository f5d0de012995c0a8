package transformer

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/layers"
)

// Small configs, one for each family.
const (
	llamaConfig = `{"model_type":"llama","vocab_size":61,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":32}`
	mistralConfig = `{"model_type":"mistral","vocab_size":61,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":32,"sliding_window":3}`
	qwen2Config = `{"model_type":"qwen2","vocab_size":61,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":32,"tie_word_embeddings":true}`
	qwen3Config = `{"model_type":"qwen3","vocab_size":61,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":2,"head_dim":6,"max_position_embeddings":32}`
	gemmaConfig = `{"model_type":"gemma","vocab_size":61,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
		"num_attention_heads":4,"num_key_value_heads":1,"head_dim":8,"max_position_embeddings":32}`
	gpt2Config    = `{"model_type":"gpt2","vocab_size":61,"n_embd":16,"n_layer":2,"n_head":4,"n_positions":32}`
	gptNeoXConfig = `{"model_type":"gpt_neox","vocab_size":61,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,
		"num_attention_heads":2,"rotary_pct":0.5,"max_position_embeddings":32}`
)

var familyConfigs = []string{llamaConfig, mistralConfig, qwen2Config, qwen3Config, gemmaConfig, gpt2Config, gptNeoXConfig}

// with returns the config with members replaced or added; values are JSON.
func with(config string, members ...string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		panic(err)
	}
	for i := 0; i < len(members); i += 2 {
		m[members[i]] = json.RawMessage(members[i+1])
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestEveryFamilyHasAConfigInTheTests(t *testing.T) {
	for _, name := range familyNames() {
		if !slices.ContainsFunc(familyConfigs, func(c string) bool { return strings.Contains(c, `"`+name+`"`) }) {
			t.Errorf("family %s has no config in this file", name)
		}
	}
}

func TestParseConfigRefusesWhatItCannotHonour(t *testing.T) {
	cases := []struct{ name, config, want string }{
		{"no JSON", `{"model_type": llama`, "not a JSON object"},
		{"a list", `[]`, "not a JSON object"},
		{"unknown family", with(llamaConfig, "model_type", `"mamba"`), "model_type: found \"mamba\", expected one of llama, mistral"},
		{"no family", `{}`, "model_type: found nothing"},
		{"another head", with(llamaConfig, "architectures", `["LlamaForSequenceClassification"]`), "expected LlamaForCausalLM"},
		{"quantized", with(llamaConfig, "quantization_config", `{"bits":4}`), "quantization_config: found {\"bits\":4}"},
		{"experts", with(qwen3Config, "num_experts", `128`), "mixture of experts"},
		{"soft cap", with(gemmaConfig, "final_logit_softcapping", `30.0`), "soft-capped logits"},
		{"soft cap of scores", with(gemmaConfig, "attn_logit_softcapping", `50.0`), "soft-capped attention scores"},
		{"encoder", with(gpt2Config, "add_cross_attention", `true`), "cross-attention"},
		{"activation", with(llamaConfig, "hidden_act", `"mish"`), "hidden_act: found \"mish\", expected one of silu"},
		{"gate without curve", with(llamaConfig, "hidden_act", `"relu"`), "hidden_act"},
		{"Gemma's activation", with(gemmaConfig, "hidden_activation", `"tanh"`), "hidden_activation"},
		{"longrope", with(llamaConfig, "rope_scaling", `{"type":"longrope","factor":2.0}`), "rope_scaling.type: found \"longrope\""},
		{"no factor", with(llamaConfig, "rope_scaling", `{"type":"linear"}`), "rope_scaling.factor: found nothing"},
		{"factor below one", with(llamaConfig, "rope_scaling", `{"type":"linear","factor":0.5}`), "rope_scaling.factor: found 0.5"},
		{"scaling of another kind", with(llamaConfig, "rope_scaling", `{"type":"linear","factor":2,"mrope_section":[1]}`), "mrope_section"},
		{"scaling no object", with(llamaConfig, "rope_scaling", `"linear"`), "expected an object"},
		{"llama3 without origin", with(llamaConfig, "rope_scaling",
			`{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4}`), "original_max_position_embeddings: found nothing"},
		{"llama3 upside down", with(llamaConfig, "rope_scaling",
			`{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1,"original_max_position_embeddings":8}`), "high_freq_factor"},
		{"two bases", with(gptNeoXConfig, "rotary_emb_base", `10000`, "rope_theta", `20000`), "rope_theta: found 20000, expected the same"},
		{"partial rotary", with(llamaConfig, "partial_rotary_factor", `0.5`), "partial_rotary_factor"},
		{"odd head", with(llamaConfig, "head_dim", `5`), "5 of 5 dimensions"},
		{"heads that do not divide", with(llamaConfig, "num_attention_heads", `5`), "expected a divisor of the hidden size 16"},
		{"key heads that do not divide", with(llamaConfig, "num_key_value_heads", `3`), "num_key_value_heads: found 3, expected a divisor"},
		{"layer types", with(qwen2Config, "layer_types", `["full_attention"]`), "layer_types: found 1 entries"},
		{"layer type", with(qwen2Config, "layer_types", `["full_attention","linear_attention"]`), "linear_attention"},
		{"window", with(mistralConfig, "sliding_window", `0`), "sliding_window: found 0"},
		{"text for a number", with(llamaConfig, "hidden_size", `"16"`), "hidden_size: found \"16\", expected an integer"},
		{"text for a truth", with(llamaConfig, "tie_word_embeddings", `1`), "expected true or false"},
		{"missing size", with(llamaConfig, "num_hidden_layers", `null`), "num_hidden_layers: found null, expected an integer"},
		{"eos", with(llamaConfig, "eos_token_id", `"</s>"`), "eos_token_id"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { refused(t, c.config, c.want) })
	}
}

func TestParseConfigRefusesHostileSizes(t *testing.T) {
	fields := []string{"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
		"head_dim", "max_position_embeddings"}
	values := []string{"0", "-1", "1e3", "1.5", "9223372036854775807", "18446744073709551616", "4611686018427387904", `"8"`, "[8]", "{}"}
	for _, field := range fields {
		for _, v := range values {
			refused(t, with(llamaConfig, field, v), field)
		}
	}
	refused(t, with(llamaConfig, "num_attention_heads", "4096", "num_key_value_heads", "1", "head_dim", "8192"), "wider than the limit")
	refused(t, with(llamaConfig, "rms_norm_eps", "-1"), "rms_norm_eps")
	refused(t, with(llamaConfig, "rope_theta", "0"), "rope_theta")
	refused(t, with(llamaConfig, "rope_theta", "1e400"), "rope_theta")
	refused(t, strings.Repeat(" ", maxConfigBytes+1), "larger than")
	refused(t, strings.Repeat("[", 1<<18), "not a JSON object")
}

// refused checks that a config gives an error that contains want, and names the file.
func refused(t *testing.T, config, want string) {
	t.Helper()
	_, err := ParseConfig("dir/config.json", []byte(config))
	switch {
	case err == nil:
		t.Errorf("%.200s: accepted, expected an error with %q", config, want)
	case !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "dir/config.json"):
		t.Errorf("found error %q, expected one with dir/config.json and %q", err, want)
	}
}

func TestRandomRefusesAbsurdModelsBeforeAllocating(t *testing.T) {
	c, err := ParseConfig("config.json", []byte(with(llamaConfig, "vocab_size", "16777216", "hidden_size", "1048576")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Random(c, 0); err == nil || !strings.Contains(err.Error(), "parameters") {
		t.Errorf("found %v, expected an error about the number of parameters", err)
	}
	if _, err := Random(&Config{}, 0); err == nil {
		t.Error("a config without a family was accepted")
	}
}

func TestParseConfigDefaults(t *testing.T) {
	cases := []struct {
		name, config string
		holds        func(c *Config) bool
	}{
		{"Llama's head is untied", llamaConfig, func(c *Config) bool { return !c.Tied }},
		{"Gemma's head is tied", gemmaConfig, func(c *Config) bool { return c.Tied }},
		{"GPT-2's head is tied", gpt2Config, func(c *Config) bool { return c.Tied }},
		{"GPT-NeoX's head is untied", gptNeoXConfig, func(c *Config) bool { return !c.Tied }},
		{"Qwen 2's head is untied", with(qwen2Config, "tie_word_embeddings", "null"), func(c *Config) bool { return !c.Tied }},
		{"key heads default to heads", with(llamaConfig, "num_key_value_heads", "null"), func(c *Config) bool { return c.NumKVHeads == 4 }},
		{"head width is hidden by heads", llamaConfig, func(c *Config) bool { return c.HeadDim == 4 && c.Rope.Rot == 4 }},
		{"Qwen 3's heads are 128 wide", with(qwen3Config, "head_dim", "null"), func(c *Config) bool { return c.HeadDim == 128 }},
		{"GPT-2's MLP is four times as wide", gpt2Config, func(c *Config) bool { return c.IntermediateSize == 64 }},
		{"GPT-2 has no rotary embedding", gpt2Config, func(c *Config) bool { return c.Rope == nil && c.MaxPositions == 32 }},
		{"a part of GPT-NeoX's heads rotates", gptNeoXConfig, func(c *Config) bool { return c.Rope.Rot == 4 && c.HeadDim == 8 }},
		{"Gemma ignores hidden_act", with(gemmaConfig, "hidden_act", `"gelu"`), func(c *Config) bool { return c.Activation == layers.GELUTanh }},
		{"Mistral's window is in every layer", mistralConfig, func(c *Config) bool { return slices.Equal(c.Windows, []int{3, 3}) }},
		{"Mistral without a word has one", strings.Replace(mistralConfig, `,"sliding_window":3`, "", 1),
			func(c *Config) bool { return slices.Equal(c.Windows, []int{4096, 4096}) }},
		{"Mistral's null has none", with(mistralConfig, "sliding_window", "null"), func(c *Config) bool { return slices.Equal(c.Windows, []int{0, 0}) }},
		{"Qwen needs use_sliding_window", with(qwen2Config, "sliding_window", "3", "max_window_layers", "1"),
			func(c *Config) bool { return slices.Equal(c.Windows, []int{0, 0}) }},
		{"Qwen's window begins at max_window_layers", with(qwen2Config, "sliding_window", "3", "max_window_layers", "1", "use_sliding_window", "true"),
			func(c *Config) bool { return slices.Equal(c.Windows, []int{0, 3}) }},
		{"layer types decide", with(qwen2Config, "sliding_window", "3", "use_sliding_window", "true",
			"layer_types", `["sliding_attention","full_attention"]`), func(c *Config) bool { return slices.Equal(c.Windows, []int{3, 0}) }},
		{"one EOS", with(llamaConfig, "eos_token_id", "2"), func(c *Config) bool { return slices.Equal(c.EOS, []int32{2}) }},
		{"several EOS", with(llamaConfig, "eos_token_id", "[2,3]"), func(c *Config) bool { return slices.Equal(c.EOS, []int32{2, 3}) }},
		{"pad -1 is none", with(llamaConfig, "pad_token_id", "-1"), func(c *Config) bool { return len(c.PAD) == 0 }},
		{"rope_parameters of transformers 5", with(llamaConfig, "rope_parameters", `{"rope_type":"linear","factor":2.0,"rope_theta":77.0}`),
			func(c *Config) bool { return c.Rope.Type == "linear" && c.Rope.Theta == 77 && c.Rope.Factor == 2 }},
		{"switched-off fields pass", with(llamaConfig, "quantization_config", "null", "num_experts", "0", "pruned_heads", "{}", "is_encoder_decoder", "false"),
			func(c *Config) bool { return true }},
		{"YaRN's factor from the lengths", with(llamaConfig, "rope_scaling", `{"type":"yarn","original_max_position_embeddings":8}`),
			func(c *Config) bool {
				return c.Rope.Factor == 4 && math.Abs(c.Rope.AttentionFactor-(0.1*math.Log(4)+1)) < 1e-15
			}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ParseConfig("config.json", []byte(tc.config))
			if err != nil {
				t.Fatal(err)
			}
			if !tc.holds(c) {
				t.Errorf("does not hold for %+v, rope %+v", c, c.Rope)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, c := range familyConfigs {
		f.Add([]byte(c))
	}
	f.Add([]byte(with(llamaConfig, "rope_scaling", `{"type":"yarn","factor":4.0}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig("config.json", data)
		if err != nil {
			return
		}
		if c.NumHeads*c.HeadDim > maxWidth || c.NumHeads%c.NumKVHeads != 0 || len(c.Windows) != c.NumLayers {
			t.Fatalf("accepted an inconsistent config: %+v", c)
		}
		if r := c.Rope; r != nil {
			for _, v := range r.frequencies(c.MaxPositions) {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("rope %+v has the frequency %v, expected one from 0 to 1", r, v)
				}
			}
		}
		n := &counter{}
		build(c, n)
		if n.elements <= 0 {
			t.Fatalf("a model of %d parameters", n.elements)
		}
	})
}
