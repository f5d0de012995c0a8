package adapters_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/internal/strictyaml"
)

type runConfig struct {
	Adapter adapters.Config `yaml:"adapter"`
}

func decode(t *testing.T, text string) adapters.Config {
	t.Helper()
	var c runConfig
	if err := strictyaml.Decode("run.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c.Adapter
}

func TestConfigFromYAML(t *testing.T) {
	got := decode(t, `
adapter:
  type: dora
  rank: 4
  alpha: 8
  use_rslora: true
  dropout: 0.1
  targets: [q_proj, v_proj]
  exclude: .*\.0\..*
  layers_to_transform: [1]
  rank_pattern: {q_proj: 2}
  bias: all
  init: {name: gaussian}
`)
	want := adapters.Config{
		Type: "dora", Rank: 4, Alpha: 8, UseRSLoRA: true, Dropout: 0.1, Targets: []any{"q_proj", "v_proj"}, Exclude: `.*\.0\..*`,
		LayersToTransform: []int{1}, RankPattern: map[string]int{"q_proj": 2}, Bias: "all", Init: adapters.Init{Name: "gaussian"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigWithDefaultsReproducesItself(t *testing.T) {
	for _, c := range []adapters.Config{{}, {Rank: 3, Targets: []string{"q_proj"}}, {Type: "dora"}, {Type: "full"}, {From: "path"}} {
		full := c.WithDefaults()
		text, err := strictyaml.Marshal(runConfig{full})
		if err != nil {
			t.Fatal(err)
		}
		again := decode(t, string(text))
		if err := again.Validate(); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
		text2, err := strictyaml.Marshal(runConfig{again.WithDefaults()})
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(text2) {
			t.Errorf("config changed from\n%s\nto\n%s", text, text2)
		}
	}
}

func TestDefaultsAreVisible(t *testing.T) {
	text, err := strictyaml.Marshal(runConfig{adapters.Config{}.WithDefaults()})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"type: lora", "rank: 8", "alpha: 8", "targets: all-linear", "bias: none", "name: default"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}
