package fuse_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train/fuse"
)

const config = `{"model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
	"num_attention_heads": 2, "max_position_embeddings": 32, "initializer_range": 0.3}`

// stored returns a random model that was written with weights of type d.
func stored(t *testing.T, d kernel.DType) *transformer.Model {
	t.Helper()
	c, err := transformer.ParseConfig("config.json", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	m, err := transformer.Random(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "model")
	if err := m.Save(dir, transformer.StoredAs(d)); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func open(t *testing.T, dir string) *transformer.Model {
	t.Helper()
	m, err := transformer.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// attach puts a LoRA adapter with factors that are not zero on the model.
func attach(t *testing.T, m *transformer.Model, cfg adapters.Config) *adapters.Adapter {
	t.Helper()
	a, err := adapters.Attach(m, cfg, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range a.Trainables() {
		for i := range tr.Param.Value.F32 {
			tr.Param.Value.F32[i] += 0.05 * float32(i%7-3)
		}
	}
	return a
}

func TestTheFusedModelStandsInForBaseAndAdapterInEveryStoredType(t *testing.T) {
	for _, c := range []struct {
		dtype     kernel.DType
		tolerance float64
	}{{kernel.F32, 1.1e-4}, {kernel.F16, 0.01}, {kernel.BF16, 0.07}} {
		for _, kind := range []string{"lora", "dora"} {
			t.Run(kind+" on "+c.dtype.String(), func(t *testing.T) {
				m := stored(t, c.dtype)
				r, err := fuse.Fuse(m, attach(t, m, adapters.Config{Type: kind, Rank: 4}))
				if err != nil {
					t.Fatal(err)
				}
				if r.Changed != 14 || r.MaxDelta == 0 || r.Difference > r.Tolerance || r.Tolerance > c.tolerance {
					t.Errorf("found %+v, expected 14 changes and a tolerance of at most %v", r, c.tolerance)
				}
				if text := r.String(); !strings.Contains(text, "fused 14 weights") || !strings.Contains(text, "verified") {
					t.Errorf("report:\n%s", text)
				}
				out := filepath.Join(t.TempDir(), "fused")
				if err := m.Save(out); err != nil {
					t.Fatal(err)
				}
				for i, p := range open(t, out).Params() {
					if want := m.Params()[i]; p.Value.DType != c.dtype || !slices.Equal(p.Value.Floats(), want.Value.Floats()) {
						t.Errorf("%s does not come back as it was saved", p.Name)
					}
				}
			})
		}
	}
}

// TestAnAdapterThatFusingWouldFalsifyIsRefused gives the adapter infinite values, which no fused weight reproduces.
func TestAnAdapterThatFusingWouldFalsifyIsRefused(t *testing.T) {
	m := stored(t, kernel.F16)
	a := attach(t, m, adapters.Config{Rank: 2, Targets: []string{"down_proj"}})
	for _, tr := range a.Trainables() {
		for i := range tr.Param.Value.F32 {
			tr.Param.Value.F32[i] *= 1e4 // beyond what float16 holds
		}
	}
	if _, err := fuse.Fuse(m, a); err == nil || !strings.HasPrefix(err.Error(), "fuse: ") {
		t.Errorf("error %v", err)
	}
}

func TestFusingTheReferenceAdapterIsVerified(t *testing.T) {
	dir := goldens.Case(t, "llama_lora_all")
	m := open(t, filepath.Join(dir, "..", "llama_base", "model"))
	a, err := adapters.Attach(m, adapters.Config{From: filepath.Join(dir, "adapter")}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := fuse.Fuse(m, a); err != nil || r.Changed != 14 {
		t.Errorf("found %+v, %v", r, err)
	}
}
