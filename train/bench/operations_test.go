package bench

import (
	"maps"
	"math"
	"slices"
	"testing"
)

// TestOperationsOfThePresets compares with the counts of an independent implementation of the same models in PyTorch, which adds up the
// shapes of the operations it runs and asks autograd what needs a gradient.
func TestOperationsOfThePresets(t *testing.T) {
	type counts struct {
		total float64
		by    map[string]float64
	}
	cases := map[string]struct {
		lora, full      counts
		params, trained int // with LoRA
	}{
		"gpt2-small": {
			counts{536.765, map[string]float64{"base": 344.268, "adapter": 5.411, "attention": 28.991, "head": 158.095}},
			counts{787.972, map[string]float64{"base": 521.839, "attention": 28.991, "head": 237.142}},
			124734720, 884736,
		},
		"llama-60m": {
			counts{174.097, map[string]float64{"base": 158.645, "adapter": 2.567, "attention": 12.885}},
			counts{252.061, map[string]float64{"base": 239.176, "attention": 12.885}},
			55747072, 425984,
		},
		"llama-tiny": {
			counts{40.014, map[string]float64{"base": 32.212, "adapter": 1.359, "attention": 6.442}},
			counts{55.566, map[string]float64{"base": 49.124, "attention": 6.442}},
			5163264, 114688,
		},
	}
	if got, want := Presets(), slices.Sorted(maps.Keys(cases)); !slices.Equal(got, want) {
		t.Errorf("presets %v, counts of %v", got, want)
	}
	for name, c := range cases {
		if testing.Short() && name != "llama-tiny" {
			continue // drawing the weights takes seconds
		}
		s, err := newSetup(StepOptions{Preset: name, Adapter: LoRA, DType: "bfloat16", Steps: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var r StepResult
		r.describe(s)
		compare := func(kind string, want counts) {
			if r.GFLOPStep != want.total || !maps.Equal(r.GFLOPBy, want.by) {
				t.Errorf("%s %s: %v GFLOP by %v, expected %v by %v", name, kind, r.GFLOPStep, r.GFLOPBy, want.total, want.by)
			}
		}
		compare(LoRA, c.lora)
		if r.Params != c.params || r.Trained != c.trained {
			t.Errorf("%s: %d parameters, %d trained, expected %d, %d", name, r.Params, r.Trained, c.params, c.trained)
		}
		s.adapter.Detach()
		for _, p := range s.model.Params() {
			p.Trainable = true
		}
		r.describe(s)
		compare(Full, c.full)
	}
}

// Adapters elsewhere change which gradients are needed: with none below the last MLP, attention and what feeds it need no backward pass.
func TestOperationsFollowTheGradient(t *testing.T) {
	o := StepOptions{Preset: "llama-tiny", Adapter: LoRA, DType: "bfloat16", Steps: 1, Sets: []string{"adapter.targets=[layers.3.mlp.down_proj]"}}
	s, err := newSetup(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := countOperations(s.model, s.adapter, 1, 100)
	const rows, d, inter, kv, vocab, rank = 100., 256, 704, 128, 4096, 16
	layer := d*(2*d+2*kv) + 3*d*inter
	for k, want := range map[string]float64{
		"base":      2e-9 * rows * (4*float64(layer) + 2*d*vocab), // the head alone has a gradient to pass on
		"adapter":   2e-9 * rows * (2*inter*rank + 3*rank*d),      // none reaches the input of down_proj
		"attention": 4e-9 * 4 * 4 * rows * rows * 64,              // forward only
	} {
		if math.Abs(got[k]-want) > 1e-9*want {
			t.Errorf("%s: %v GFLOP, expected %v", k, got[k], want)
		}
	}
}
