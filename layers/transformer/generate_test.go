package transformer

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func newGenerator(t testing.TB, m *Model, n int) *Generator {
	t.Helper()
	g, err := NewGenerator(m, n)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func generate(t testing.TB, g *Generator, prompt []int32, opt GenOptions) []int32 {
	t.Helper()
	out, err := g.Generate(context.Background(), prompt, opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wide is an initialisation under which random models prefer some tokens clearly.
const wide = "0.6"

func TestCachedGenerationEqualsForwardOverTheWholeText(t *testing.T) {
	for _, config := range familyConfigs {
		m := randomModel(t, with(config, "initializer_range", wide))
		t.Run(m.Config.ModelType, func(t *testing.T) {
			text := []int32{3, 1, 4, 1, 5}
			text = append(text, generate(t, newGenerator(t, m, 20), text, GenOptions{})...)
			if len(text) != 20 {
				t.Fatalf("found %d tokens, expected to fill the context of 20", len(text))
			}
			b := NewBatch(1, len(text))
			copy(b.IDs.I32, text)
			all := logits(t, m, b)
			for i := 4; i < 19; i++ {
				if want := argmax(all[i*m.Config.VocabSize : (i+1)*m.Config.VocabSize]); text[i+1] != want {
					t.Errorf("token %d: found %d, expected %d", i+1, text[i+1], want)
				}
			}
		})
	}
}

func TestGeneratorForgetsEarlierTexts(t *testing.T) {
	m := randomModel(t, with(llamaConfig, "initializer_range", wide, "rope_scaling", `{"type":"dynamic","factor":2.0}`, "max_position_embeddings", "8"))
	g := newGenerator(t, m, 16)
	first := generate(t, g, []int32{7, 8, 9}, GenOptions{})
	generate(t, g, []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, GenOptions{})
	if again := generate(t, g, []int32{7, 8, 9}, GenOptions{}); !slices.Equal(first, again) {
		t.Errorf("found %v, expected %v as before", again, first)
	}
}

func TestSamplingIsAFunctionOfTheSeed(t *testing.T) {
	g := newGenerator(t, randomModel(t, llamaConfig), 32)
	opt := GenOptions{Temperature: 1, TopK: 50, TopP: 0.99, RepetitionPenalty: 1.1, Seed: 3}
	first := generate(t, g, []int32{5}, opt)
	old := runtime.GOMAXPROCS(1)
	again := generate(t, g, []int32{5}, opt)
	runtime.GOMAXPROCS(old)
	if !slices.Equal(first, again) {
		t.Errorf("the same seed gave %v and %v", first, again)
	}
	opt.Seed = 4
	if other := generate(t, g, []int32{5}, opt); slices.Equal(first, other) {
		t.Errorf("two seeds gave the same %v", other)
	}
}

func TestGenerationStops(t *testing.T) {
	g := newGenerator(t, randomModel(t, with(gpt2Config, "initializer_range", wide)), 32)
	free := generate(t, g, []int32{5}, GenOptions{MaxTokens: 10})
	if len(free) != 10 {
		t.Fatalf("found %d tokens, expected the maximum of 10", len(free))
	}
	end := slices.Index(free, free[6]) // the first time this token occurs
	if got := generate(t, g, []int32{5}, GenOptions{Stop: []int32{free[6]}}); !slices.Equal(got, free[:end]) {
		t.Errorf("found %v, expected %v up to the stop token %d", got, free[:end], free[6])
	}
	full := errors.New("full")
	got, err := g.Generate(context.Background(), []int32{5}, GenOptions{}, func(id int32) error {
		if id == free[3] {
			return full
		}
		return nil
	})
	if want := free[:slices.Index(free, free[3])+1]; !errors.Is(err, full) || !slices.Equal(got, want) {
		t.Errorf("found %v, %v, expected %v and the error of emit", got, err, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := g.Generate(ctx, []int32{5}, GenOptions{}, nil); !errors.Is(err, context.Canceled) || len(got) != 0 {
		t.Errorf("found %v, %v, expected nothing after the context has ended", got, err)
	}
}

func TestGenerateRefusesBadRequests(t *testing.T) {
	m := randomModel(t, llamaConfig)
	if _, err := NewGenerator(m, 33); err == nil || !strings.Contains(err.Error(), "expected 1 to 32") {
		t.Errorf("found %v, expected an error about the context of 32", err)
	}
	g := newGenerator(t, m, 8)
	cases := []struct {
		prompt []int32
		opt    GenOptions
		want   string
	}{
		{nil, GenOptions{}, "prompt is empty"},
		{make([]int32, 8), GenOptions{}, "leaves no room"},
		{[]int32{1, 61}, GenOptions{}, "token 1 of the prompt: found id 61"},
		{[]int32{-1}, GenOptions{}, "found id -1"},
		{[]int32{1}, GenOptions{MaxTokens: -1}, "maximum"},
		{[]int32{1}, GenOptions{Temperature: math.NaN()}, "temperature"},
		{[]int32{1}, GenOptions{TopK: -1}, "top-k"},
		{[]int32{1}, GenOptions{TopP: 1.5}, "top-p"},
		{[]int32{1}, GenOptions{RepetitionPenalty: -2}, "repetition penalty"},
	}
	for _, c := range cases {
		if _, err := g.Generate(context.Background(), c.prompt, c.opt, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("prompt %v, %+v: found %v, expected an error with %q", c.prompt, c.opt, err, c.want)
		}
	}
}

// draws counts what a picker chooses from the same logits n times.
func draws(o GenOptions, logits []float32, n int) []int {
	counts := make([]int, len(logits))
	p := newPicker(o, len(logits), nil)
	for range n {
		counts[p.next(logits)]++
		clear(p.seen)
	}
	return counts
}

func TestDrawsFollowTheSoftmax(t *testing.T) {
	logits := []float32{0, 1, 2, -1}
	for _, temperature := range []float64{0.5, 1, 2} {
		const n = 20000
		counts := draws(GenOptions{Temperature: temperature, Seed: 1}, logits, n)
		var total float64
		for _, v := range logits {
			total += math.Exp(float64(v) / temperature)
		}
		for id, v := range logits {
			p := math.Exp(float64(v)/temperature) / total
			if got := float64(counts[id]) / n; math.Abs(got-p) > 4*math.Sqrt(p*(1-p)/n) {
				t.Errorf("temperature %g, token %d: drawn with frequency %.4f, expected %.4f", temperature, id, got, p)
			}
		}
	}
}

func TestFiltersKeepWhatTransformersKeeps(t *testing.T) {
	logits := []float32{2, 1, 3, 1, 0} // probabilities 0.22, 0.08, 0.59, 0.08, 0.03
	cases := []struct {
		name string
		opt  GenOptions
		kept []int
	}{
		{"all", GenOptions{}, []int{0, 1, 2, 3, 4}},
		{"top-k", GenOptions{TopK: 2}, []int{0, 2}},
		{"top-k keeps ties", GenOptions{TopK: 3}, []int{0, 1, 2, 3}},
		{"top-k beyond the vocabulary", GenOptions{TopK: 99}, []int{0, 1, 2, 3, 4}},
		{"top-p keeps the token that crosses it", GenOptions{TopP: 0.7}, []int{0, 2}},
		{"top-p keeps one at least", GenOptions{TopP: 0.01}, []int{2}},
		{"top-p after top-k", GenOptions{TopK: 2, TopP: 0.72}, []int{2}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.opt.Temperature = 1
			var kept []int
			for id, n := range draws(c.opt, logits, 5000) {
				if n > 0 {
					kept = append(kept, id)
				}
			}
			if !slices.Equal(kept, c.kept) {
				t.Errorf("found %v, expected %v", kept, c.kept)
			}
		})
	}
}

func TestRepetitionPenaltyLowersWhatHasOccurred(t *testing.T) {
	p := newPicker(GenOptions{RepetitionPenalty: 2}, 4, []int32{0, 3, 3})
	logits := []float32{4, 3, 1, -1}
	if id := p.next(logits); id != 1 {
		t.Errorf("found %d, expected 1: token 0 is halved", id)
	}
	if want := []float32{2, 3, 1, -2}; !slices.Equal(p.scores, want) {
		t.Errorf("found scores %v, expected %v", p.scores, want)
	}
	if id := p.next(logits); id != 0 {
		t.Errorf("found %d, expected 0: token 1 is halved too now", id)
	}
}

func TestGenerateReportsLogitsThatAreNotFinite(t *testing.T) {
	m := randomModel(t, llamaConfig)
	m.params[len(m.params)-1].Value.F32[5*16] = float32(math.NaN())
	_, err := newGenerator(t, m, 8).Generate(context.Background(), []int32{1}, GenOptions{}, nil)
	if err == nil || !strings.Contains(err.Error(), "logit of id 5 is NaN") {
		t.Errorf("found %v, expected an error that names the logit of id 5", err)
	}
}

func TestStopIDsJoinBothConfigs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := randomModel(t, with(llamaConfig, "eos_token_id", "2")).Save(dir); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]int32{"": {2}, "{}": {2}, `{"eos_token_id":[2,9]}`: {2, 9}, `{"eos_token_id":7}`: {2, 7}} {
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		} else if err := os.RemoveAll(filepath.Join(dir, "generation_config.json")); err != nil {
			t.Fatal(err)
		}
		if got, err := openModel(t, dir).StopIDs(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: found %v, %v, expected %v", text, got, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id":"x"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := openModel(t, dir).StopIDs(); err == nil || !strings.Contains(err.Error(), "generation_config.json") {
		t.Errorf("found %v, expected an error that names the file", err)
	}
}
