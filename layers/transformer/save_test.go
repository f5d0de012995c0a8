package transformer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/safetensors"
)

func TestSaveThenOpenGivesTheSameModel(t *testing.T) {
	for _, config := range familyConfigs {
		m := randomModel(t, config)
		t.Run(m.Config.ModelType, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "model")
			if err := m.Save(dir); err != nil {
				t.Fatal(err)
			}
			sameParams(t, openModel(t, dir), m)
		})
	}
}

func sameParams(t *testing.T, got, want *Model) {
	t.Helper()
	if !slices.Equal(got.names(), want.names()) {
		t.Fatalf("found parameters %v, expected %v", got.names(), want.names())
	}
	for i, p := range want.params {
		if !slices.Equal(got.params[i].Value.Floats(), p.Value.Floats()) {
			t.Errorf("%s differs", p.Name)
		}
	}
}

func TestSaveInShards(t *testing.T) {
	m := randomModel(t, llamaConfig)
	dir := filepath.Join(t.TempDir(), "model")
	if err := m.Save(dir, ShardBytes(4000)); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.safetensors")); len(files) < 2 {
		t.Errorf("found the weights files %v, expected several", files)
	}
	sameParams(t, openModel(t, dir), m)
}

func TestSaveKeepsStoredTypesOfWidenedWeights(t *testing.T) {
	dir := t.TempDir()
	half := filepath.Join(dir, "half")
	if err := randomModel(t, llamaConfig).Save(half, StoredAs(kernel.BF16)); err != nil {
		t.Fatal(err)
	}
	m := openModel(t, half)
	if d := m.params[0].Value.DType; d != kernel.BF16 {
		t.Fatalf("loaded weights are %v, expected BF16 as stored", d)
	}
	if err := m.MakeTrainable(func(name string) bool { return strings.Contains(name, "embed_tokens") }); err != nil {
		t.Fatal(err)
	}
	if p := m.params[0]; !p.Trainable || p.Value.DType != kernel.F32 || p.Value.Frozen() || m.params[1].Trainable {
		t.Errorf("after MakeTrainable the embedding is %+v", p)
	}
	again := filepath.Join(dir, "again")
	if err := m.Save(again); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"model.safetensors", "config.json"} {
		a, err1 := os.ReadFile(filepath.Join(half, name))
		b, err2 := os.ReadFile(filepath.Join(again, name))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s changed on the way (%v, %v)", name, err1, err2)
		}
	}
}

func TestSaveCopiesTokenizerAndReplacesOnlyTheType(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	config := strings.Replace(llamaConfig, "{", `{"torch_dtype" : "float32" , "my_own": [1, {"torch_dtype": 3}], `, 1)
	if err := randomModel(t, config).Save(src); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "tokenizer.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := openModel(t, src).Save(dst, StoredAs(kernel.F16)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dst, "tokenizer.json")); err != nil || string(got) != "{}" {
		t.Errorf("tokenizer.json: found %q, %v", got, err)
	}
	got, err := os.ReadFile(filepath.Join(dst, "config.json"))
	if want := strings.Replace(config, `"float32"`, `"float16"`, 1); err != nil || string(got) != want {
		t.Errorf("config.json: found %s (%v), expected %s", got, err, want)
	}
}

func TestWithDTypeAddsTheFieldWhereItIsMissing(t *testing.T) {
	got, err := withDType([]byte(gpt2Config), kernel.BF16)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Type  string `json:"torch_dtype"`
		Model string `json:"model_type"`
	}
	if err := json.Unmarshal(got, &c); err != nil || c.Type != "bfloat16" || c.Model != "gpt2" {
		t.Errorf("found %s (%v)", got, err)
	}
}

// writeModel writes a directory from a config and the tensors of m, changed by edit.
func writeModel(t *testing.T, m *Model, edit func(tensors map[string]safetensors.Tensor)) string {
	t.Helper()
	dir := t.TempDir()
	tensors := map[string]safetensors.Tensor{}
	for _, p := range m.params {
		tensors[p.Name] = safetensors.Floats(p.Name, safetensors.F32, p.Value.Shape, p.Value.F32)
	}
	edit(tensors)
	var list []safetensors.Tensor
	for name, tensor := range tensors {
		tensor.Name = name
		list = append(list, tensor)
	}
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), list, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), m.Config.raw, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenNamesWhatIsWrongWithTheWeights(t *testing.T) {
	zeros := func(n int) safetensors.Tensor {
		return safetensors.Floats("", safetensors.F32, []int{n}, make([]float32, n))
	}
	cases := []struct {
		name, config string
		edit         func(m map[string]safetensors.Tensor)
		want         string
	}{
		{"missing", llamaConfig, func(m map[string]safetensors.Tensor) { delete(m, "model.norm.weight") },
			"1 tensors of a llama model are missing: model.norm.weight"},
		{"unknown", llamaConfig, func(m map[string]safetensors.Tensor) { m["model.layers.2.extra"] = zeros(3) },
			"1 tensors have no place in a llama model: model.layers.2.extra"},
		{"untied without head", llamaConfig, func(m map[string]safetensors.Tensor) { delete(m, "lm_head.weight") }, "missing: lm_head.weight"},
		{"shape", llamaConfig, func(m map[string]safetensors.Tensor) { m["model.norm.weight"] = zeros(17) },
			`tensor "model.norm.weight": found shape 17, expected 16 by the config`},
		{"type", llamaConfig, func(m map[string]safetensors.Tensor) {
			m["model.norm.weight"] = safetensors.Integers("", []int{16}, make([]int64, 16))
		}, `tensor "model.norm.weight": found type I64, expected F32, BF16 or F16`},
		{"another head beside tied embeddings", qwen2Config, func(m map[string]safetensors.Tensor) {
			m["lm_head.weight"] = safetensors.Floats("", safetensors.F32, []int{61, 16}, make([]float32, 61*16))
		}, `tensor "lm_head.weight" differs from "model.embed_tokens.weight"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := writeModel(t, randomModel(t, c.config), c.edit)
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("found %v, expected an error with the directory and %q", err, c.want)
			}
		})
	}
}

func TestOpenAcceptsHarmlessTensors(t *testing.T) {
	zeros := safetensors.Floats("", safetensors.F32, []int{1}, make([]float32, 1))
	cases := []struct {
		name, config string
		edit         func(m map[string]safetensors.Tensor)
	}{
		{"Llama's frequencies", llamaConfig, func(m map[string]safetensors.Tensor) {
			m["model.layers.0.self_attn.rotary_emb.inv_freq"] = zeros
		}},
		{"GPT-2's masks", gpt2Config, func(m map[string]safetensors.Tensor) {
			m["transformer.h.0.attn.bias"], m["transformer.h.1.attn.masked_bias"] = zeros, zeros
		}},
		{"GPT-2 without the prefix", gpt2Config, func(m map[string]safetensors.Tensor) {
			for _, name := range mapKeys(m) {
				m[strings.TrimPrefix(name, "transformer.")] = m[name]
				delete(m, name)
			}
			m["h.0.attn.bias"] = zeros
		}},
		{"GPT-NeoX's masks and frequencies", gptNeoXConfig, func(m map[string]safetensors.Tensor) {
			m["gpt_neox.layers.0.attention.bias"], m["gpt_neox.layers.0.attention.masked_bias"] = zeros, zeros
			m["gpt_neox.layers.0.attention.rotary_emb.inv_freq"] = zeros
		}},
		{"the embedding again as a tied head", qwen2Config, func(m map[string]safetensors.Tensor) {
			m["lm_head.weight"] = m["model.embed_tokens.weight"]
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := randomModel(t, c.config)
			sameParams(t, openModel(t, writeModel(t, m, c.edit)), m)
		})
	}
}

func mapKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func TestOpenFSReadsEmbeddedModels(t *testing.T) {
	m := randomModel(t, llamaConfig)
	dir := filepath.Join(t.TempDir(), "model")
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	got, err := OpenFS(files, "embedded")
	if err != nil {
		t.Fatal(err)
	}
	sameParams(t, got, m)
	delete(files, "config.json")
	if _, err := OpenFS(files, "embedded"); err == nil || !strings.Contains(err.Error(), "embedded") {
		t.Errorf("found %v, expected an error that names the directory", err)
	}
}

func TestReadConfigRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), dir+"/config.json") {
		t.Errorf("found %v, expected an error that names the missing file", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "config.json"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(dir); err == nil || !strings.Contains(err.Error(), "expected a file") {
		t.Errorf("found %v, expected an error about the directory", err)
	}
}

func TestMakeTrainableReportsPatternsThatMatchNothing(t *testing.T) {
	m := randomModel(t, llamaConfig)
	err := m.MakeTrainable(func(string) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "model.embed_tokens.weight") {
		t.Errorf("found %v, expected an error that lists parameters", err)
	}
}
