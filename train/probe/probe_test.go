package probe_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train/probe"
	"github.com/geotune/geotune/train/text"
)

// slack is how many times the reference's own rounding noise a result may be away from it.
const slack = 10

// reference is a golden case.
type reference struct {
	dir   string
	Base  string  `json:"base"`
	Kind  string  `json:"kind"`
	Loss  float64 `json:"loss_f64"`
	Noise struct {
		Grads, Outputs struct {
			MaxRelFro float64 `json:"max_rel_fro"`
		}
	} `json:"noise"`
}

func readReference(t *testing.T, name string) *reference {
	t.Helper()
	r := &reference{dir: goldens.Case(t, name)}
	data, err := os.ReadFile(filepath.Join(r.dir, "case.json"))
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open returns model and trained tensors: those of the adapter, or all weights.
func (r *reference) open(t *testing.T) (*transformer.Model, []*adapters.Trainable) {
	t.Helper()
	dir := filepath.Join(r.dir, "model")
	if r.Base != "" {
		dir = filepath.Join(r.dir, r.Base)
	}
	m, err := transformer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	a, err := adapters.Attach(m, adapters.Config{Type: "full"}, 0, nil)
	if r.Kind == "adapter" {
		a.Detach()
		var file *formats.Adapter
		if file, err = formats.Read(filepath.Join(r.dir, "adapter"), nil); err == nil {
			a, err = adapters.AttachFile(m, file, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, a.Trainables()
}

func TestFilesAgreeWithTheReference(t *testing.T) {
	for _, name := range []string{
		"llama_base", "llama3_base", "mistral_base", "qwen2_base", "gemma_base", "gpt2_base", "gpt_neox_base",
		"llama_lora_all", "llama_lora_dora", "llama_lora_embed", "llama_lora_pissa", "llama_lora_save_head", "gpt2_lora_dora", "qwen2_lora_all",
	} {
		t.Run(name, func(t *testing.T) {
			r := readReference(t, name)
			m, trained := r.open(t)
			in := filepath.Join(r.dir, "inputs.safetensors")
			b, err := probe.ReadInputs(in)
			if err != nil {
				t.Fatal(err)
			}
			res, err := probe.Compute(m, b, trained)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out.safetensors")
			if err := res.Write(out); err != nil {
				t.Fatal(err)
			}
			r.compare(t, out, b.Segments.I32)
		})
	}
}

// compare checks every tensor of the file at path, and that none is missing.
func (r *reference) compare(t *testing.T, path string, segments []int32) {
	got := floats(t, path)
	want := floats(t, filepath.Join(r.dir, "expected.safetensors"))
	if rel := distance(got["logits"], want["logits"], segments); rel > slack*r.Noise.Outputs.MaxRelFro {
		t.Errorf("logits: relative error %.2g", rel)
	}
	if d := math.Abs(float64(got["loss"][0])-r.Loss) / r.Loss; len(got["loss"]) != 1 || d > slack*r.Noise.Outputs.MaxRelFro {
		t.Errorf("loss: found %v, expected %v", got["loss"], r.Loss)
	}
	grads := floats(t, filepath.Join(r.dir, "grads.safetensors"))
	for key, want := range grads {
		if rel := distance(got["grad."+key], want, nil); rel > slack*r.Noise.Grads.MaxRelFro {
			t.Errorf("gradient of %s: relative error %.2g", key, rel)
		}
	}
	if n := len(got) - 2; n != len(grads) {
		t.Errorf("%d gradients, expected %d", n, len(grads))
	}
}

// floats reads all floating-point tensors of a file.
func floats(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	set, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	out := map[string][]float32{}
	for _, name := range set.Names() {
		if info, _ := set.Info(name); !info.DType.IsFloat() {
			continue
		}
		if out[name], err = set.Float32(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// distance returns the relative Frobenius norm of got-want over the rows of tokens that are no padding; nil segments take all.
func distance(got, want []float32, segments []int32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	width := len(want) / max(1, len(segments))
	var diff, norm float64
	for i, w := range want {
		if segments == nil || segments[i/width] != 0 {
			d := float64(got[i]) - float64(w)
			diff, norm = diff+d*d, norm+float64(w)*float64(w)
		}
	}
	return math.Sqrt(diff / max(norm, math.SmallestNonzeroFloat64))
}

func randomModel(t *testing.T) *transformer.Model {
	t.Helper()
	c, err := transformer.ParseConfig("config.json", []byte(`{"model_type": "llama", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12,
		"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 16}`))
	if err != nil {
		t.Fatal(err)
	}
	m, err := transformer.Random(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// batch writes the given tensors of one row of three tokens to a file and reads them as inputs.
func batch(t *testing.T, tensors map[string][]int64) (*text.Batch, error) {
	t.Helper()
	var list []safetensors.Tensor
	for name, v := range tensors {
		list = append(list, safetensors.Integers(name, []int{1, len(v)}, v))
	}
	path := filepath.Join(t.TempDir(), "in.safetensors")
	if err := safetensors.Write(path, list, nil); err != nil {
		t.Fatal(err)
	}
	return probe.ReadInputs(path)
}

func TestWithoutLabelsThereAreLogitsAlone(t *testing.T) {
	b, err := batch(t, map[string][]int64{"input_ids": {1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := probe.Compute(randomModel(t), b, nil)
	if err != nil || r.HasLoss || !r.Logits.Shape.Equal([]int{1, 3, 11}) {
		t.Errorf("found %+v, %v", r, err)
	}
}

func TestPositionsMayExceedTheRow(t *testing.T) {
	m := randomModel(t)
	logits := func(positions ...int64) []float32 {
		b, err := batch(t, map[string][]int64{"input_ids": {1, 2, 3}, "position_ids": positions})
		if err != nil {
			t.Fatal(err)
		}
		r, err := probe.Compute(m, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Logits.F32
	}
	if rel := distance(logits(7, 8, 9), logits(0, 1, 2), nil); rel > 1e-5 {
		t.Errorf("a shift of all positions changed the logits of a rotary model by %.2g", rel)
	}
}

func TestBadInputsAreNamed(t *testing.T) {
	m := randomModel(t)
	a, err := adapters.Attach(m, adapters.Config{Type: "full"}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tensors map[string][]int64
		want    string
	}{
		{map[string][]int64{"input_ids": {1, 11, 3}, "labels": {1, 2, 3}}, "probe: input_ids: element 1 is 11, expected 0 to 10"},
		{map[string][]int64{"input_ids": {1, -1, 3}, "labels": {1, 2, 3}}, "probe: input_ids: element 1 is -1, expected 0 to 10"},
		{map[string][]int64{"input_ids": {1, 2, 3}, "labels": {1, 2, 12}}, "probe: labels: element 2 is 12, expected 0 to 10, or -100 where there is none"},
		{map[string][]int64{"input_ids": {1, 2, 3}, "position_ids": {0, 1, 16}}, "probe: position_ids: element 2 is 16, expected 0 to 15"},
		{map[string][]int64{"input_ids": {1, 2, 3}}, "probe: gradients need a loss"},
		{map[string][]int64{"input_ids": {1, 2, 3}, "labels": {1, -100, -100}}, "probe: gradients need a loss"},
		{map[string][]int64{"input_ids": {1, 2, 3}, "timestep": {1}}, `tensor "timestep" is no input of a causal language model`},
		{map[string][]int64{"input_ids": {1, 2, 3}, "labels": {1, 2}}, "labels: found shape [1 2]"},
		{map[string][]int64{"labels": {1, 2}}, "found no input_ids"},
	} {
		b, err := batch(t, c.tensors)
		if err == nil {
			_, err = probe.Compute(m, b, a.Trainables())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %s", c.tensors, err, c.want)
		}
	}
}
