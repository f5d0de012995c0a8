package inspect_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train/checkpoint"
	"github.com/geotune/geotune/train/inspect"
)

const config = `{"model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
	"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": true}`

// fixtures writes one of everything that can be inspected and returns the folder.
func fixtures(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := transformer.ParseConfig("config.json", []byte(config))
	must(err)
	m, err := transformer.Random(c, 1)
	must(err)
	must(m.Save(filepath.Join(dir, "model"), transformer.StoredAs(kernel.BF16)))
	a, err := adapters.Attach(m, adapters.Config{Rank: 2, Targets: []string{"q_proj"}}, 1, nil)
	must(err)
	must(a.Save(filepath.Join(dir, "adapter"), formats.Header{Base: "some/base"}))
	bare, err := os.ReadFile(filepath.Join(dir, "adapter", formats.TensorFile))
	must(err)
	must(os.WriteFile(filepath.Join(dir, "bare.safetensors"), bare, 0o666))
	opt, err := optim.New(&optim.AdamW{}, a.Points(), optim.Config{})
	must(err)
	state := map[string]int{"step": 7}
	_, err = checkpoint.Save(dir, 7, checkpoint.Run{State: &state, Points: a.Points(), Optimizer: opt, Gradients: true})
	must(err)
	must(safetensors.Write(filepath.Join(dir, "x.safetensors"), []safetensors.Tensor{
		safetensors.Floats("x", safetensors.F16, []int{2, 3}, make([]float32, 6)), safetensors.Integers("i", nil, []int64{1}),
	}, map[string]string{"format": "pt"}))
	must(safetensors.Write(filepath.Join(dir, "grads.safetensors"), []safetensors.Tensor{
		safetensors.Floats("grad.base_model.model.a.lora_A.weight", safetensors.F32, []int{1}, []float32{1}),
	}, nil))
	must(os.MkdirAll(filepath.Join(dir, "run", "checkpoints"), 0o777))
	must(os.WriteFile(filepath.Join(dir, "run", "config.yaml"), nil, 0o666))
	must(os.WriteFile(filepath.Join(dir, "run", "metrics.jsonl"), nil, 0o666))
	return dir
}

func TestEverythingIsRecognisedAndDescribed(t *testing.T) {
	dir := fixtures(t)
	for name, want := range map[string]struct{ text, json []string }{
		"model": {
			[]string{"model: llama model", "4560 in BF16", "2 of width 16", "4 heads of 4, 2 key/value heads", "embeddings tied: true", "q_proj, k_proj"},
			[]string{`"family":"llama"`, `"layers":2`, `"types":{"BF16":`},
		},
		"adapter": {
			[]string{"PEFT directory", "some/base", "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"},
			[]string{`"type":"lora"`, `"rank":2`},
		},
		"bare.safetensors":  {[]string{"q_proj"}, []string{`"type":"lora"`}},
		"step-7":            {[]string{"checkpoint, whole", "4 tensors", "middle of a step", `"step": 7`}, []string{`"state":{"step":7}`, `"trained":4`}},
		"grads.safetensors": {[]string{"1 tensors, 4 bytes"}, []string{`"kind":"safetensors"`}},
		"x.safetensors":     {[]string{"2 tensors, 20 bytes", "metadata format: pt", "F16"}, []string{`"name":"i","dtype":"I64","shape":[]`}},
	} {
		t.Run(name, func(t *testing.T) {
			var args map[string]string
			if name == "bare.safetensors" {
				args = map[string]string{"alpha": "4"}
			}
			d, err := inspect.Describe(filepath.Join(dir, filepath.FromSlash(name)), args)
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := d.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			asJSON, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			contains(t, text.String(), want.text)
			contains(t, string(asJSON), want.json)
		})
	}
}

func contains(t *testing.T, got string, want []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("lacks %q:\n%s", w, got)
		}
	}
}

func TestWhatCannotBeInspectedIsExplained(t *testing.T) {
	dir := fixtures(t)
	if err := os.Truncate(filepath.Join(dir, "step-7", "points.safetensors"), 20); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none":            "inspect: stat ",
		"run":             "is the folder of a run; inspect ",
		"run/..":          "holds no model, adapter, checkpoint or safetensors file",
		"step-7":          "points.safetensors is missing or damaged",
		"run/config.yaml": "config.yaml",
	} {
		if _, err := inspect.Describe(filepath.Join(dir, "run", "..")+"/"+name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
	_, err := inspect.Describe(filepath.Join(dir, "model"), map[string]string{"alpha": "1"})
	if err == nil || !strings.Contains(err.Error(), "is no adapter") {
		t.Errorf("error %v", err)
	}
}
