package formats_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/internal/safetensors"
)

// loraCases returns the adapter directories of all reference cases of type LORA.
func loraCases(t testing.TB) []string {
	var dirs []string
	for _, dir := range goldens.Match(t, "*/adapter") {
		text, err := os.ReadFile(filepath.Join(dir, formats.ConfigFile))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(`"peft_type": "LORA"`)) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func read(t testing.TB, path string) *formats.Adapter {
	t.Helper()
	a, err := formats.Read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sameTensors(t testing.TB, got, want formats.Tensors) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tensors, want %d", len(got), len(want))
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok || g.DType != w.DType || len(g.Shape) != len(w.Shape) || len(g.Values) != len(w.Values) {
			t.Fatalf("tensor %q: got %v of %v, want %v of %v", name, g.Shape, g.DType, w.Shape, w.DType)
		}
		for i := range w.Values {
			if math.Float32bits(g.Values[i]) != math.Float32bits(w.Values[i]) {
				t.Fatalf("tensor %q differs at element %d: %v, want %v", name, i, g.Values[i], w.Values[i])
			}
		}
	}
}

func TestReadWriteReadIsBitEqual(t *testing.T) {
	for _, dir := range loraCases(t) {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			want := read(t, dir)
			out := filepath.Join(t.TempDir(), "adapter")
			if err := formats.Write(out, want); err != nil {
				t.Fatal(err)
			}
			got := read(t, out)
			sameTensors(t, got.Tensors, want.Tensors)
			if got.Prefix != want.Prefix {
				t.Errorf("prefix %q, want %q", got.Prefix, want.Prefix)
			}
			first, err := formats.FormatConfig(want.Settings, want.Header)
			if err != nil {
				t.Fatal(err)
			}
			second, err := formats.FormatConfig(got.Settings, got.Header)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first, second) {
				t.Errorf("settings changed from\n%s\nto\n%s", first, second)
			}
		})
	}
}

// TestTensorFileIsTheOneOfPEFT compares whole files: order, alignment and metadata are those of the reference implementation.
func TestTensorFileIsTheOneOfPEFT(t *testing.T) {
	for _, dir := range loraCases(t) {
		out := filepath.Join(t.TempDir(), "adapter")
		if err := formats.Write(out, read(t, dir)); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, formats.TensorFile))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(out, formats.TensorFile))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the tensor file differs from PEFT's", dir)
		}
	}
}

func TestBFloat16AdapterKeepsItsType(t *testing.T) {
	a := tiny()
	for name, x := range a.Tensors {
		x.DType = safetensors.BF16
		for i := range x.Values {
			x.Values[i] = safetensors.BFloat16(safetensors.ToBFloat16(x.Values[i]))
		}
		a.Tensors[name] = x
	}
	out := filepath.Join(t.TempDir(), "adapter")
	if err := formats.Write(out, a); err != nil {
		t.Fatal(err)
	}
	sameTensors(t, read(t, out).Tensors, a.Tensors)
}

// tiny returns a LoRA adapter of one layer with 3 inputs, 2 outputs and rank 1.
func tiny() *formats.Adapter {
	return &formats.Adapter{
		Settings: &formats.LoRA{Rank: 1, Alpha: 2, Bias: formats.BiasNone, Targets: formats.Selection{Names: []string{"q_proj"}}},
		Prefix:   formats.Prefix,
		Tensors: formats.Tensors{
			"layers.0.q_proj.lora_A.weight": formats.NewTensor([]float32{1, 2, 2}, 1, 3),
			"layers.0.q_proj.lora_B.weight": formats.NewTensor([]float32{3, 4}, 2, 1),
		},
	}
}

func TestWriteStatesWhatPEFTReads(t *testing.T) {
	out := filepath.Join(t.TempDir(), "adapter")
	a := tiny()
	a.Header.Base = "org/base"
	if err := formats.Write(out, a); err != nil {
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		formats.ConfigFile: {"{\n  \"alpha_pattern\": {},\n", `"peft_type": "LORA"`, `"r": 1,`, `"lora_alpha": 2,`, `"init_lora_weights": true`, "\"target_modules\": [\n    \"q_proj\"\n  ]"},
		formats.CardFile:   {"library_name: peft", "base_model: \"org/base\"", "PeftModel.from_pretrained"},
	} {
		text, err := os.ReadFile(filepath.Join(out, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q:\n%s", file, want, text)
			}
		}
	}
}

// write puts a PEFT directory together by hand.
func write(t *testing.T, config string, tensors ...safetensors.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, formats.ConfigFile), []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(filepath.Join(dir, formats.TensorFile), tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func floats(name string, shape ...int) safetensors.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return safetensors.Floats(formats.Prefix+name, safetensors.F32, shape, make([]float32, n))
}

func TestReadRefusesByName(t *testing.T) {
	a, b := floats("m.q.lora_A.weight", 2, 3), floats("m.q.lora_B.weight", 4, 2)
	base := `"peft_type":"LORA","r":2,"target_modules":["q"]`
	for _, c := range []struct {
		name, config string
		tensors      []safetensors.Tensor
		want         []string
	}{
		{"unknown key", `{` + base + `,"use_warp":true}`, []safetensors.Tensor{a, b}, []string{`"use_warp" is true`, "lora_alpha", "null, false, 0 or empty"}},
		{"known key that is off", `{` + base + `,"alora_invocation_tokens":[1]}`, []safetensors.Tensor{a, b}, []string{"alora_invocation_tokens"}},
		{"other type", `{"peft_type":"VERA"}`, nil, []string{`"VERA"`, "LORA"}},
		{"wrong type", `{` + base + `,"lora_alpha":"8"}`, nil, []string{`"lora_alpha" is "8"`, "float64"}},
		{"fractional rank", `{"peft_type":"LORA","r":2.5}`, nil, []string{`"r" is 2.5`, "int"}},
		{"rank 0", `{"peft_type":"LORA","r":0}`, nil, []string{"r is 0"}},
		{"twice", `{` + base + `,"r":3}`, nil, []string{`"r" occurs twice`}},
		{"no object", `[]`, nil, []string{"not a JSON object"}},
		{"trailing text", `{` + base + `} {}`, nil, []string{"after the JSON object"}},
		{"loftq", `{` + base + `,"init_lora_weights":"loftq"}`, nil, []string{"loftq", "path_initial_model"}},
		{"unknown init", `{` + base + `,"init_lora_weights":"zen"}`, nil, []string{`"zen"`, "olora"}},
		{"missing partner", `{` + base + `}`, []safetensors.Tensor{a}, []string{`"m.q.lora_B.weight" is missing`}},
		{"rank misfit", `{` + base + `,"rank_pattern":{"q":3}}`, []safetensors.Tensor{a, b}, []string{"m.q", "[2 3]", "rank 3"}},
		{"stray tensor", `{` + base + `}`, []safetensors.Tensor{a, b, floats("m.norm.weight", 3)}, []string{`"m.norm.weight"`, "modules_to_save"}},
		{"bias without setting", `{` + base + `}`, []safetensors.Tensor{a, b, floats("m.q.base_layer.bias", 4)}, []string{"m.q.base_layer.bias", `"none"`}},
		{"base of nothing", `{` + base + `}`, []safetensors.Tensor{a, b, floats("m.k.base_layer.weight", 4, 3)}, []string{"m.k"}},
		{"no magnitude", `{` + base + `,"use_dora":true}`, []safetensors.Tensor{a, b}, []string{"lora_magnitude_vector", "missing"}},
		{"magnitude without dora", `{` + base + `}`, []safetensors.Tensor{a, b, floats("m.q.lora_magnitude_vector", 4)}, []string{"use_dora is false"}},
		{"short magnitude", `{` + base + `,"use_dora":true}`, []safetensors.Tensor{a, b, floats("m.q.lora_magnitude_vector", 3)}, []string{"expected 4 values"}},
		{"vector as factor", `{` + base + `}`, []safetensors.Tensor{floats("m.q.lora_A.weight", 6), b}, []string{"expected a matrix"}},
		{"nothing", `{` + base + `}`, nil, []string{"no tensor of an adapted layer"}},
		{"layers of a pattern", `{"peft_type":"LORA","target_modules":"q","layers_to_transform":[1]}`, nil, []string{"layers_to_transform"}},
		{"bad pattern", `{` + base + `,"alpha_pattern":{"(":1}}`, []safetensors.Tensor{a, b}, []string{"alpha_pattern", `"("`}},
		{"mixed prefixes", `{` + base + `}`, []safetensors.Tensor{a, b, safetensors.Floats("x.lora_A.weight", safetensors.F32, []int{1}, []float32{0})}, []string{`"x.lora_A.weight"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, c.config, c.tensors...)
			_, err := formats.Read(dir, nil)
			if err == nil {
				t.Fatal("read without an error")
			}
			for _, want := range append(c.want, dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestReadAcceptsNeutralKeysOfTheFuture(t *testing.T) {
	dir := write(t, `{"peft_type":"LORA","r":2,"layers_to_transform":1,"new_a":null,"new_b":false,"new_c":0,"new_d":{},"new_e":[],"new_f":"","target_modules":["q"]}`,
		floats("m.q.lora_A.weight", 2, 3), floats("m.q.lora_B.weight", 4, 2))
	a := read(t, dir)
	if l := a.Settings.(*formats.LoRA); l.Rank != 2 || l.Alpha != 8 || len(l.Indices) != 1 {
		t.Errorf("settings %+v", l)
	}
}

func TestReadNamesWhatTheDirectoryHoldsInstead(t *testing.T) {
	dir := t.TempDir()
	if _, err := formats.Read(dir, nil); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "adapters.npz"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := formats.Read(dir, nil); err == nil || !strings.Contains(err.Error(), "adapters.npz") {
		t.Errorf("foreign directory: %v", err)
	}
	if _, err := formats.Read(filepath.Join(dir, "none"), nil); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("absent path: %v", err)
	}
}

func TestFileBesideItsConfigIsThatDirectory(t *testing.T) {
	dir := loraCases(t)[0]
	sameTensors(t, read(t, filepath.Join(dir, formats.TensorFile)).Tensors, read(t, dir).Tensors)
}

func TestBareFileTakesItsSettingsFromShapesAndArguments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	tensors := []safetensors.Tensor{
		floats("m.a.lora_A.weight", 2, 3), floats("m.a.lora_B.weight", 4, 2), floats("m.a.lora_magnitude_vector", 4),
		floats("m.b.lora_A.weight", 5, 3), floats("m.b.lora_B.weight", 4, 5), floats("m.b.lora_magnitude_vector", 4),
	}
	if err := safetensors.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	a, err := formats.Read(path, map[string]string{"alpha": "10", "use_rslora": "false"})
	if err != nil {
		t.Fatal(err)
	}
	l := a.Settings.(*formats.LoRA)
	layers, err := l.Layers(a.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	if !l.DoRA || len(layers) != 2 || layers[0].Scale != 5 || layers[1].Scale != 2 || layers[1].Rank != 5 {
		t.Errorf("settings %+v, layers %+v", l, layers)
	}
	if a, err = formats.Read(path, nil); err != nil || len(a.Notes) == 0 {
		t.Errorf("without alpha: notes %v, error %v", a, err)
	}
	if _, err = formats.Read(path, map[string]string{"alpha": "x"}); err == nil || !strings.Contains(err.Error(), "alpha=x") {
		t.Errorf("bad argument: %v", err)
	}
	if _, err = formats.Read(path, map[string]string{"rank": "1"}); err == nil || !strings.Contains(err.Error(), "expected alpha") {
		t.Errorf("unknown argument: %v", err)
	}
}

func TestPlainWeightsAreRecognised(t *testing.T) {
	out := filepath.Join(t.TempDir(), "w")
	want := &formats.Adapter{Tensors: formats.Tensors{"model.norm.weight": formats.NewTensor([]float32{1, 2}, 2)}}
	if err := formats.Write(out, want); err != nil {
		t.Fatal(err)
	}
	got := read(t, out)
	if got.Settings != nil || got.Format != "plain weights" {
		t.Errorf("recognised as %s with %v", got.Format, got.Settings)
	}
	sameTensors(t, got.Tensors, want.Tensors)
}
