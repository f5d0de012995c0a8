package transformer

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
)

func TestRandomFollowsTheInitialisationOfTransformers(t *testing.T) {
	cases := []struct {
		config, part string
		mean, std    float64
	}{
		{llamaConfig, "q_proj.weight", 0, 0.02},
		{llamaConfig, "norm.weight", 1, 0},
		{gemmaConfig, "norm.weight", 0, 0},
		{qwen2Config, "q_proj.bias", 0, 0},
		{gpt2Config, "c_fc.weight", 0, 0.02},
		{gpt2Config, "c_proj.weight", 0, 0.02 / math.Sqrt(4)},
		{with(gpt2Config, "initializer_range", "0.1"), "wte.weight", 0, 0.1},
	}
	for _, c := range cases {
		m := randomModel(t, c.config)
		var sum, squares, n float64
		for _, p := range m.Params() {
			if strings.Contains(p.Name, c.part) {
				for _, v := range p.Value.F32 {
					sum, squares, n = sum+float64(v), squares+float64(v)*float64(v), n+1
				}
			}
		}
		mean := sum / n
		std := math.Sqrt(max(squares/n-mean*mean, 0))
		if math.Abs(mean-c.mean) > 4*c.std/math.Sqrt(n) || math.Abs(std-c.std) > 0.1*c.std {
			t.Errorf("%s %s: found mean %.4g, deviation %.4g, expected %.4g, %.4g", m.Config.ModelType, c.part, mean, std, c.mean, c.std)
		}
	}
}

func TestRandomIsAFunctionOfTheSeed(t *testing.T) {
	c, err := ParseConfig("config.json", []byte(llamaConfig))
	if err != nil {
		t.Fatal(err)
	}
	var models [3]*Model
	for i, seed := range []uint64{7, 7, 8} {
		if models[i], err = Random(c, seed); err != nil {
			t.Fatal(err)
		}
	}
	sameParams(t, models[1], models[0])
	if slices.Equal(models[0].params[0].Value.F32, models[2].params[0].Value.F32) {
		t.Error("seeds 7 and 8 give the same embedding")
	}
}

func TestRandomAsRoundsTheSameWeights(t *testing.T) {
	c, err := ParseConfig("config.json", []byte(llamaConfig))
	if err != nil {
		t.Fatal(err)
	}
	wide, err := Random(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []kernel.DType{kernel.BF16, kernel.F16} {
		m, err := RandomAs(c, 7, d)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range m.Params() {
			want := kernel.Rounded(wide.params[i].Value.F32, d, p.Value.Shape)
			if p.Value.DType != d || !slices.Equal(p.Value.U16, want.U16) {
				t.Errorf("%s: found type %v, or other values than those of Random rounded to %v", p.Name, p.Value.DType, d)
			}
		}
	}
	if _, err := RandomAs(c, 7, kernel.I32); err == nil {
		t.Error("weights of integers are drawn")
	}
}

func TestRandomZeroesThePaddingRow(t *testing.T) {
	m := randomModel(t, with(llamaConfig, "pad_token_id", "3"))
	row := m.embed.Weight.Value.F32[3*16 : 4*16]
	if slices.ContainsFunc(row, func(v float32) bool { return v != 0 }) {
		t.Errorf("found %v, expected zeros", row)
	}
}

func TestARandomModelOfADirectoryIsSavedWithItsTokenizer(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "saved")
	for name, text := range map[string]string{"config.json": llamaConfig, "tokenizer.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := OpenRandom(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save(out); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "tokenizer.json")); err != nil || string(text) != "{}" {
		t.Errorf("found tokenizer.json %q, %v", text, err)
	}
	want := randomModel(t, llamaConfig)
	for i, p := range openModel(t, out).Params() {
		if !slices.Equal(p.Value.Floats(), want.Params()[i].Value.F32) {
			t.Errorf("%s differs from that of Random", p.Name)
		}
	}
}
