package adapters_test

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

func scaleOf(t *testing.T, p optim.Point) float32 {
	t.Helper()
	l, ok := p.(*optim.LowRank)
	if !ok {
		t.Fatalf("point %s is no low-rank point", p.Name())
	}
	return l.Scale
}

// variants are configs that touch every part of an adapter.
var variants = map[string]adapters.Config{
	"lora":           {Rank: 2, Alpha: 6},
	"rslora":         {Rank: 4, UseRSLoRA: true},
	"embedding":      {Targets: []string{"embed_tokens", "lm_head", "q_proj"}},
	"bias of B":      {LoRABias: true, Targets: []string{"q_proj"}},
	"bias all":       {Bias: "all", Targets: []string{"q_proj", "v_proj"}},
	"bias lora_only": {Bias: "lora_only", Targets: []string{"q_proj", "v_proj"}},
	"both biases":    {Bias: "lora_only", LoRABias: true, Targets: []string{"q_proj"}},
	"modules":        {ModulesToSave: []string{"lm_head", "input_layernorm"}, Targets: []string{"q_proj"}},
	"saved bias":     {ModulesToSave: []string{"0.self_attn.q_proj"}, Bias: "all", Targets: []string{"v_proj"}},
	"dora":           {Type: "dora", Rank: 2},
	"pissa":          {Rank: 3, Init: adapters.Init{Name: "pissa"}},
	"olora":          {Rank: 3, Init: adapters.Init{Name: "olora"}},
	"pissa dora":     {Type: "dora", Rank: 3, Init: adapters.Init{Name: "pissa"}},
	"orthogonal":     {Rank: 4, Init: adapters.Init{Name: "orthogonal"}},
	"full":           {Type: "full"},
}

func TestDetachRestoresTheModel(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			m := newFake(fakeOptions{dtype: kernel.BF16})
			before := m.snapshot()
			a := attach(t, m, cfg)
			perturb(a)
			if m.snapshot() == before {
				t.Fatal("attaching changed nothing")
			}
			a.Detach()
			if m.snapshot() != before {
				t.Error("the model is not as it was")
			}
		})
	}
}

func TestTrainablesPointsAndKeysAgree(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			a := attach(t, newFake(fakeOptions{}), cfg)
			var fromPoints []optim.Tensor
			for _, p := range a.Points() {
				fromPoints = append(fromPoints, p.Tensors()...)
			}
			if len(fromPoints) != len(a.Trainables()) {
				t.Fatalf("%d tensors in points, %d trainables", len(fromPoints), len(a.Trainables()))
			}
			seen := map[string]bool{}
			for i, tr := range a.Trainables() {
				x := fromPoints[i]
				if x.Name != tr.Key || x.Value != tr.Param.Value || x.Grad != tr.Grad || !tr.Grad.Shape.Equal(tr.Param.Value.Shape) {
					t.Errorf("trainable %s and point tensor %s differ", tr.Key, x.Name)
				}
				if !tr.Param.Trainable || tr.Param.Value.DType != kernel.F32 || seen[tr.Key] {
					t.Errorf("trainable %s: trainable %v, type %v, seen %v", tr.Key, tr.Param.Trainable, tr.Param.Value.DType, seen[tr.Key])
				}
				seen[tr.Key] = true
			}
		})
	}
}

func TestKeysAreThoseOfPEFT(t *testing.T) {
	a := attach(t, newFake(fakeOptions{}), adapters.Config{
		Targets: []string{"embed_tokens", "0.self_attn.q_proj"}, Bias: "lora_only", ModulesToSave: []string{"lm_head", "1.input_layernorm"},
	})
	want := []string{
		"base_model.model.model.embed_tokens.lora_embedding_A", "base_model.model.model.embed_tokens.lora_embedding_B",
		"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
		"base_model.model.lm_head.weight",
		"base_model.model.model.layers.1.input_layernorm.weight", "base_model.model.model.layers.1.input_layernorm.bias",
		"base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias",
	}
	var got []string
	for _, tr := range a.Trainables() {
		got = append(got, tr.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("keys\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSaveThenAttachFromGivesTheSameAdapter(t *testing.T) {
	for name, cfg := range variants {
		t.Run(name, func(t *testing.T) {
			m := newFake(fakeOptions{})
			a := attach(t, m, cfg)
			perturb(a)
			dir := filepath.Join(t.TempDir(), "adapter")
			if err := a.Save(dir, formats.Header{Base: "org/base", Task: "CAUSAL_LM"}); err != nil {
				t.Fatal(err)
			}
			keys, values := dump(a)
			a.Detach()
			b := attach(t, m, adapters.Config{From: dir})
			againKeys, again := dump(b)
			if !slices.Equal(keys, againKeys) {
				t.Fatalf("keys %q, want %q", againKeys, keys)
			}
			for i := range values {
				if !slices.Equal(values[i], again[i]) {
					t.Errorf("%s differs", keys[i])
				}
			}
			if b.Header().Base != "org/base" && b.Config().Type != "full" {
				t.Errorf("header %+v", b.Header())
			}
		})
	}
}

// dump returns the keys and copies of the values of everything trained.
func dump(a *adapters.Adapter) (keys []string, values [][]float32) {
	for _, tr := range a.Trainables() {
		keys = append(keys, tr.Key)
		values = append(values, slices.Clone(tr.Param.Value.F32))
	}
	return keys, values
}

func TestFromRefusesContradictions(t *testing.T) {
	m := newFake(fakeOptions{})
	a := attach(t, m, adapters.Config{Rank: 2, Targets: []string{"q_proj"}})
	dir := filepath.Join(t.TempDir(), "adapter")
	if err := a.Save(dir, formats.Header{}); err != nil {
		t.Fatal(err)
	}
	a.Detach()
	_, err := adapters.Attach(m, adapters.Config{From: dir, Rank: 4}, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "rank is 4, but the adapter has 2") {
		t.Errorf("error %v", err)
	}
	b := attach(t, m, adapters.Config{From: dir, Rank: 2, Dropout: 0.1, Targets: []string{"q_proj"}})
	if b.Config().Dropout != 0.1 {
		t.Errorf("dropout %v, want that of the config", b.Config().Dropout)
	}
}

func TestLoadRefusesWhatDoesNotFitAndChangesNothing(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	for _, c := range []struct {
		name   string
		change func(f *formats.Adapter)
		want   []string
	}{
		{"shape", func(f *formats.Adapter) { f.Tensors[q+".lora_B.weight"] = formats.NewTensor(make([]float32, 10), 5, 2) },
			[]string{q + ".lora_B.weight", "[5 2]", "[8 2]"}},
		{"missing", func(f *formats.Adapter) { delete(f.Tensors, q+".lora_A.weight") }, []string{"missing", q + ".lora_A.weight"}},
		{"unknown", func(f *formats.Adapter) {
			f.Tensors["model.layers.7.self_attn.q_proj.lora_A.weight"] = formats.NewTensor(make([]float32, 16), 2, 8)
		}, []string{"base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", "no place", q + ".lora_A.weight"}},
		{"other base", func(f *formats.Adapter) {
			f.Tensors[q+".base_layer.weight"] = formats.NewTensor(make([]float32, 64), 8, 8)
		},
			[]string{q + ".base_layer.weight", "another base model"}},
		{"resized base", func(f *formats.Adapter) {
			f.Tensors[q+".base_layer.weight"] = formats.NewTensor(make([]float32, 72), 9, 8)
		},
			[]string{"[9 8]", "resized"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := attach(t, newFake(fakeOptions{}), adapters.Config{Rank: 2, Targets: []string{"q_proj"}})
			f := a.File(formats.Header{})
			for _, x := range f.Tensors {
				for i := range x.Values {
					x.Values[i] = 1
				}
			}
			c.change(f)
			_, before := dump(a)
			err := a.Load(f)
			if err == nil {
				t.Fatal("loaded without an error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			_, after := dump(a)
			for i := range before {
				if !slices.Equal(before[i], after[i]) {
					t.Error("values changed")
				}
			}
		})
	}
}

func TestBiasesThatPEFTDidNotSaveComeFromTheBase(t *testing.T) {
	m := newFake(fakeOptions{})
	cfg := adapters.Config{Bias: "lora_only", Targets: []string{"q_proj"}}
	a := attach(t, m, cfg)
	f := a.File(formats.Header{})
	for name := range f.Tensors {
		if strings.HasSuffix(name, "base_layer.bias") {
			delete(f.Tensors, name)
		}
	}
	_, before := dump(a)
	if err := a.Load(f); err != nil {
		t.Fatal(err)
	}
	_, after := dump(a)
	for i := range before {
		if !slices.Equal(before[i], after[i]) {
			t.Errorf("tensor %d changed", i)
		}
	}
	if len(a.Notes()) != 1 || !strings.Contains(a.Notes()[0], "lora_only") {
		t.Errorf("notes %q", a.Notes())
	}
}

func TestAllLinearIsSavedAsNamesThatSelectTheSame(t *testing.T) {
	for name, cfg := range map[string]adapters.Config{
		"last parts": {}, "whole paths": {Exclude: []string{"0.self_attn.q_proj"}},
	} {
		m := newFake(fakeOptions{})
		a := attach(t, m, cfg)
		want := a.Modules()
		l := a.File(formats.Header{}).Settings.(*formats.LoRA)
		if l.Targets.Pattern != "" {
			t.Errorf("%s: saved as %v, want names", name, l.Targets)
		}
		a.Detach()
		b := attach(t, m, adapters.Config{Targets: l.Targets, Exclude: l.Exclude})
		if got := b.Modules(); !slices.Equal(got, want) {
			t.Errorf("%s: %v selects %q, want %q", name, l.Targets, got, want)
		}
	}
}

func TestSavedModuleIsUntied(t *testing.T) {
	m := newFake(fakeOptions{tied: true})
	a := attach(t, m, adapters.Config{Targets: []string{"q_proj"}, ModulesToSave: []string{"lm_head"}})
	if m.output.Weight == m.embeddings[0].Weight || m.embeddings[0].Weight.Trainable {
		t.Error("the output layer still shares its weight, or the embedding is trained")
	}
	perturb(a)
	before := m.snapshot()
	if _, err := adapters.Fuse(a); err == nil || !strings.Contains(err.Error(), "shared by model.embed_tokens and lm_head") {
		t.Errorf("fuse: %v, want a refusal", err)
	}
	if m.snapshot() != before {
		t.Error("a refused fuse changed the model")
	}
}

func TestInitChangesOnlyWithSeedAndName(t *testing.T) {
	values := func(cfg adapters.Config, seed uint64) map[string][]float32 {
		a, err := adapters.Attach(newFake(fakeOptions{}), cfg, seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]float32{}
		for _, tr := range a.Trainables() {
			out[tr.Key] = slices.Clone(tr.Param.Value.F32)
		}
		return out
	}
	few := values(adapters.Config{Targets: []string{"q_proj"}}, 1)
	many := values(adapters.Config{Targets: []string{"up_proj", "embed_tokens", "q_proj"}}, 1)
	other := values(adapters.Config{Targets: []string{"q_proj"}}, 2)
	for key, v := range few {
		if !slices.Equal(v, many[key]) {
			t.Errorf("%s depends on the other targets", key)
		}
		if strings.Contains(key, "lora_A") && slices.Equal(v, other[key]) {
			t.Errorf("%s does not depend on the seed", key)
		}
	}
}

// TestInitHasTheStatisticsOfPEFT draws factors with many values: their mean, deviation and range are known.
func TestInitHasTheStatisticsOfPEFT(t *testing.T) {
	const rank = 4000
	for _, c := range []struct {
		init, key      string
		target         string
		deviation, max float64
	}{
		{"default", "lora_A", "q_proj", 1 / math.Sqrt(3*fakeWidth), 1 / math.Sqrt(fakeWidth)},
		{"default", "lora_B", "q_proj", 0, 0},
		{"gaussian", "lora_A", "q_proj", 1.0 / rank, math.Inf(1)},
		{"gaussian", "lora_B", "q_proj", 0, 0},
		{"default", "embedding_A", "embed_tokens", 0, 0},
		{"default", "embedding_B", "embed_tokens", 1, math.Inf(1)},
	} {
		a := attach(t, newFake(fakeOptions{}), adapters.Config{Rank: rank, Targets: []string{c.target}, Init: adapters.Init{Name: c.init}})
		for _, tr := range a.Trainables() {
			if !strings.Contains(tr.Key, c.key) {
				continue
			}
			var sum, squares, largest float64
			for _, v := range tr.Param.Value.F32 {
				sum, squares, largest = sum+float64(v), squares+float64(v)*float64(v), max(largest, math.Abs(float64(v)))
			}
			n := float64(tr.Param.Value.Len())
			if mean := sum / n; math.Abs(mean) > 5*c.deviation/math.Sqrt(n) {
				t.Errorf("%s %s: mean %v", c.init, tr.Key, mean)
			}
			if dev := math.Sqrt(squares / n); math.Abs(dev-c.deviation) > 0.02*c.deviation {
				t.Errorf("%s %s: deviation %v, want %v", c.init, tr.Key, dev, c.deviation)
			}
			if largest > c.max {
				t.Errorf("%s %s: largest value %v, want at most %v", c.init, tr.Key, largest, c.max)
			}
		}
	}
}

func TestModelOutputsStartUnchanged(t *testing.T) {
	// What an initialisation leaves in scale·B·A it has taken out of the weight: fusing a fresh adapter gives the base back.
	for _, inOut := range []bool{false, true} {
		for _, init := range []string{"default", "gaussian", "orthogonal", "pissa", "olora"} {
			for _, kind := range []string{"lora", "dora"} {
				if init == "olora" && inOut {
					continue
				}
				m := newFake(fakeOptions{inOut: inOut})
				a := attach(t, m, adapters.Config{Type: kind, Rank: 4, Alpha: 6, Init: adapters.Init{Name: init}})
				r, err := adapters.Fuse(a)
				if err != nil {
					t.Fatal(err)
				}
				if r.MaxDelta > 2e-6 {
					t.Errorf("%s %s, in×out %v: the weights moved by %v", kind, init, inOut, r.MaxDelta)
				}
			}
		}
	}
}

// TestOLoRAStartsWithOrthonormalColumns: B has orthonormal columns and A is upper triangular.
func TestOLoRAStartsWithOrthonormalColumns(t *testing.T) {
	a := attach(t, newFake(fakeOptions{}), adapters.Config{Rank: 3, Targets: []string{"down_proj"}, Init: adapters.Init{Name: "olora"}})
	fa, fb := a.Trainables()[0].Param.Value, a.Trainables()[1].Param.Value
	in, out := fa.Shape[1], fb.Shape[0]
	for k := range 3 {
		for l := range 3 {
			var dot, want float64
			if k == l {
				want = 1
			}
			for i := range out {
				dot += float64(fb.F32[i*3+k]) * float64(fb.F32[i*3+l])
			}
			if math.Abs(dot-want) > 1e-6 {
				t.Errorf("columns %d and %d of B have the product %v", k, l, dot)
			}
			if l < k && fa.F32[k*in+l] != 0 {
				t.Errorf("A has %v below the diagonal", fa.F32[k*in+l])
			}
		}
	}
}

func TestFileForAnotherModelIsRefusedBeforeMemoryIsTaken(t *testing.T) {
	a := attach(t, newFake(fakeOptions{}), adapters.Config{Rank: 2, Targets: []string{"q_proj"}})
	f := a.File(formats.Header{})
	f.Settings.(*formats.LoRA).Targets.Names = []string{"q_proj", "up_proj"}
	f.Settings.(*formats.LoRA).Ranks = map[string]int{"up_proj": 1 << 16}
	_, err := adapters.AttachFile(newFake(fakeOptions{}), f, nil)
	if err == nil || !strings.Contains(err.Error(), "model.layers.1.mlp.up_proj.lora_A.weight") {
		t.Errorf("error %v", err)
	}
}

func TestOLoRARefusesConv1D(t *testing.T) {
	_, err := adapters.Attach(newFake(fakeOptions{inOut: true}), adapters.Config{Rank: 2, Init: adapters.Init{Name: "olora"}}, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "use pissa") {
		t.Errorf("error %v", err)
	}
}

func TestInitOnTiedWeightIsRefused(t *testing.T) {
	_, err := adapters.Attach(newFake(fakeOptions{tied: true}), adapters.Config{Targets: []string{"lm_head"}, Init: adapters.Init{Name: "pissa"}}, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "shared by") {
		t.Errorf("error %v", err)
	}
}
