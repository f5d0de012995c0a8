package transformer

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
)

// slack is how many times the reference's own rounding noise a result may be away from it.
const slack = 10

func TestParityWithTransformers(t *testing.T) {
	for _, name := range decoderCases {
		t.Run(name, func(t *testing.T) {
			ref := readGolden(t, name)
			r := run(t, trainAll(t, ref.model(t)), ref.batch(t), Options{NeedLogits: true})
			checkOutputs(t, ref, r)
			checkGradients(t, ref, r)
		})
	}
}

func checkOutputs(t *testing.T, ref *golden, r *result) {
	want := ref.open(t, "expected.safetensors")
	if d := math.Abs(r.loss-ref.Loss) / math.Abs(ref.Loss); d > slack*ref.Noise.Outputs.MaxRelFro {
		t.Errorf("loss: found %v, expected %v", r.loss, ref.Loss)
	}
	worst := 0.0
	check := func(name string, got []float32) {
		rel := distance(got, ref.floats(t, want, name), r.batch.Segments.I32)
		worst = max(worst, rel)
		if rel > slack*ref.Noise.Outputs.MaxRelFro {
			t.Errorf("%s: relative error %.2g, expected at most %d x %.2g", name, rel, slack, ref.Noise.Outputs.MaxRelFro)
		}
	}
	check("logits", r.logits.F32)
	for i, h := range r.hidden {
		check(fmt.Sprintf("hidden_states.%d", i), h.F32)
	}
	t.Logf("outputs: worst relative error %.2g, %.1f x noise", worst, worst/ref.Noise.Outputs.MaxRelFro)
}

func checkGradients(t *testing.T, ref *golden, r *result) {
	want := ref.open(t, "grads.safetensors")
	if got := slices.Sorted(maps.Keys(r.grads)); !slices.Equal(got, want.Names()) {
		t.Fatalf("gradients: found %v, expected %v", got, want.Names())
	}
	worst, where := 0.0, ""
	for name, got := range r.grads {
		rel := distance(got.F32, ref.floats(t, want, name), nil)
		if rel > worst {
			worst, where = rel, name
		}
		if rel > slack*ref.Noise.Grads.MaxRelFro {
			t.Errorf("gradient of %s: relative error %.2g, expected at most %d x %.2g", name, rel, slack, ref.Noise.Grads.MaxRelFro)
		}
	}
	t.Logf("gradients: worst relative error %.2g (%s), %.1f x noise", worst, where, worst/ref.Noise.Grads.MaxRelFro)
}

func TestGreedyGenerationEqualsTransformers(t *testing.T) {
	for _, name := range []string{"llama_base", "qwen2_base", "gpt2_base"} {
		t.Run(name, func(t *testing.T) {
			ref := readGolden(t, name)
			file := ref.open(t, "generate.safetensors")
			prompt, err := file.Int32("prompt")
			if err != nil {
				t.Fatal(err)
			}
			want, err := file.Int32("greedy")
			if err != nil {
				t.Fatal(err)
			}
			g, err := NewGenerator(ref.model(t), len(want))
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.Generate(context.Background(), prompt, GenOptions{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(prompt, got...); !slices.Equal(got, want) {
				t.Errorf("found %v, expected %v", got, want)
			}
		})
	}
}
