package adapters_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
)

const l0, l1 = "model.layers.0.", "model.layers.1."

// TestTargetsMatchAsInPEFT states the rules of PEFT's check_target_module_exists on small cases.
func TestTargetsMatchAsInPEFT(t *testing.T) {
	allLinear := []string{
		l0 + "self_attn.q_proj", l0 + "self_attn.v_proj", l0 + "mlp.up_proj", l0 + "mlp.down_proj",
		l1 + "self_attn.q_proj", l1 + "self_attn.v_proj", l1 + "mlp.up_proj", l1 + "mlp.down_proj",
	}
	for _, c := range []struct {
		name string
		cfg  adapters.Config
		want []string
	}{
		{"nothing said is all-linear", adapters.Config{}, allLinear},
		{"all-linear leaves the output out", adapters.Config{Targets: "ALL-linear"}, allLinear},
		{"a name is a suffix after a dot", adapters.Config{Targets: []string{"q_proj"}}, []string{l0 + "self_attn.q_proj", l1 + "self_attn.q_proj"}},
		{"several components", adapters.Config{Targets: []any{"0.mlp.up_proj"}}, []string{l0 + "mlp.up_proj"}},
		{"the whole path", adapters.Config{Targets: []string{"lm_head"}}, []string{"lm_head"}},
		{"embeddings", adapters.Config{Targets: []string{"embed_tokens"}}, []string{"model.embed_tokens"}},
		{"a string is a regular expression for the whole path", adapters.Config{Targets: `.*\.0\..*(up|down)_proj`}, []string{l0 + "mlp.up_proj", l0 + "mlp.down_proj"}},
		{"look-ahead", adapters.Config{Targets: `(?!.*mlp).*_proj`}, []string{l0 + "self_attn.q_proj", l0 + "self_attn.v_proj", l1 + "self_attn.q_proj", l1 + "self_attn.v_proj"}},
		{"exclude by suffix", adapters.Config{Exclude: []string{"v_proj", "up_proj", "down_proj"}}, []string{l0 + "self_attn.q_proj", l1 + "self_attn.q_proj"}},
		{"exclude by expression", adapters.Config{Exclude: `.*(mlp|v_proj).*`}, []string{l0 + "self_attn.q_proj", l1 + "self_attn.q_proj"}},
		{"layers", adapters.Config{Targets: []string{"q_proj"}, LayersToTransform: []int{1}}, []string{l1 + "self_attn.q_proj"}},
		{"layers with their pattern", adapters.Config{Targets: []string{"q_proj"}, LayersToTransform: []int{0}, LayersPattern: []string{"h", "layers"}}, []string{l0 + "self_attn.q_proj"}},
		{"a whole path ignores layers", adapters.Config{Targets: []string{l0 + "mlp.up_proj", "q_proj"}, LayersToTransform: []int{1}}, []string{l0 + "mlp.up_proj", l1 + "self_attn.q_proj"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := attach(t, newFake(fakeOptions{}), c.cfg)
			if got := a.Modules(); !slices.Equal(got, c.want) {
				t.Errorf("adapted %q, want %q", got, c.want)
			}
		})
	}
}

func TestModulesToSaveAreNotAdapted(t *testing.T) {
	a := attach(t, newFake(fakeOptions{}), adapters.Config{Targets: []string{"q_proj", "lm_head"}, ModulesToSave: []string{"lm_head"}})
	want := []string{l0 + "self_attn.q_proj", l1 + "self_attn.q_proj", "lm_head.weight"}
	if got := a.Modules(); !slices.Equal(got, want) {
		t.Errorf("parts %q, want %q", got, want)
	}
}

// TestPatternsMatchAsInPEFT states the rule of get_pattern_key: a regular expression on the end of the path, after a dot.
func TestPatternsMatchAsInPEFT(t *testing.T) {
	cfg := adapters.Config{
		Rank: 2, Alpha: 4, Targets: []string{"q_proj", "v_proj", "up_proj"},
		RankPattern:  map[string]int{"layers.1.mlp.up_proj": 5, "q_proj": 3, "proj": 9},
		AlphaPattern: map[string]float64{`self_attn\.[qv]_proj`: 6},
	}
	a := attach(t, newFake(fakeOptions{}), cfg)
	got := map[string]int{}
	for _, tr := range a.Trainables() {
		if strings.HasSuffix(tr.Key, "lora_A.weight") {
			got[strings.TrimSuffix(strings.TrimPrefix(tr.Key, "base_model.model.model.layers."), ".lora_A.weight")] = tr.Param.Value.Shape[0]
		}
	}
	want := map[string]int{
		"0.self_attn.q_proj": 3, "1.self_attn.q_proj": 3, "0.self_attn.v_proj": 2, "1.self_attn.v_proj": 2,
		"0.mlp.up_proj": 2, "1.mlp.up_proj": 5,
	}
	for name, r := range want {
		if got[name] != r {
			t.Errorf("%s: rank %d, want %d", name, got[name], r)
		}
	}
	scales := map[string]float32{}
	for _, p := range a.Points() {
		scales[p.Name()] = scaleOf(t, p)
	}
	for name, s := range map[string]float32{l0 + "self_attn.q_proj": 2, l0 + "self_attn.v_proj": 3, l1 + "mlp.up_proj": 0.8} {
		if scales[name] != s {
			t.Errorf("%s: scale %v, want %v", name, scales[name], s)
		}
	}
}

func TestErrorsListWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  adapters.Config
		want []string
	}{
		{"mistyped name", adapters.Config{Targets: []string{"q_proj", "v_porj"}}, []string{`targets: "v_porj" matches no module`, "did you mean v_proj or q_proj?", "embed_tokens, q_proj, v_proj, up_proj, down_proj, lm_head"}},
		{"mistyped path", adapters.Config{Targets: []string{"model.layers.0.self_atn.q_proj"}}, []string{"did you mean " + l0 + "self_attn.q_proj"}},
		{"expression without a match", adapters.Config{Targets: "q_proj"}, []string{"targets q_proj match none of the 10 modules", "write [q_proj]"}},
		{"bad expression", adapters.Config{Targets: "("}, []string{`"("`}},
		{"exclude that matches nothing", adapters.Config{Exclude: []string{"k_proj"}}, []string{`exclude: "k_proj"`}},
		{"everything excluded", adapters.Config{Targets: []string{"q_proj"}, Exclude: []string{"q_proj"}}, []string{"take out all of them"}},
		{"no such layer", adapters.Config{Targets: []string{"q_proj"}, LayersToTransform: []int{7}}, []string{"[7]", "layers_to_transform"}},
		{"unknown saved module", adapters.Config{ModulesToSave: []string{"score"}}, []string{`modules_to_save: "score"`}},
		{"unknown type", adapters.Config{Type: "lra"}, []string{`unknown type "lra"`, "dora, full, lora"}},
		{"unknown init", adapters.Config{Init: adapters.Init{Name: "pisa"}}, []string{`unknown init "pisa"`, "did you mean pissa?"}},
		{"targets of a wrong type", adapters.Config{Targets: 3}, []string{"targets is 3"}},
		{"list of a wrong type", adapters.Config{Targets: []any{"q_proj", 3}}, []string{"targets[1] is 3"}},
		{"no targets", adapters.Config{Targets: []string{}}, []string{"targets is empty"}},
		{"dora on an embedding", adapters.Config{Type: "dora", Targets: []string{"embed_tokens"}}, []string{"model.embed_tokens", "dora"}},
		{"bias of B on an embedding", adapters.Config{LoRABias: true, Targets: []string{"embed_tokens"}}, []string{"lora_bias"}},
		{"negative rank", adapters.Config{Rank: -1}, []string{"rank"}},
		{"dropout of 1", adapters.Config{Dropout: 1}, []string{"dropout"}},
		{"bias", adapters.Config{Bias: "some"}, []string{`"some"`, "lora_only"}},
		{"odd orthogonal", adapters.Config{Rank: 3, Init: adapters.Init{Name: "orthogonal"}}, []string{"even rank"}},
		{"rank above the weight's", adapters.Config{Rank: 5, Init: adapters.Init{Name: "pissa"}}, []string{"v_proj", "at most 4"}},
		{"full with rank", adapters.Config{Type: "full", Rank: 3}, []string{"rank does not go with type full"}},
		{"from nowhere", adapters.Config{From: "no/such/place"}, []string{"no/such/place", "does not exist"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newFake(fakeOptions{})
			before := m.snapshot()
			_, err := adapters.Attach(m, c.cfg, 1, nil)
			if err == nil {
				t.Fatal("attached without an error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if m.snapshot() != before {
				t.Error("the model has changed")
			}
		})
	}
}
