package strictyaml

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

// config has every kind of field.
type config struct {
	Model     modelConfig     `yaml:"model"`
	Optimizer optimizerConfig `yaml:"optimizer"`
	Eval      *evalConfig     `yaml:"eval"`
	Ranks     map[string]int  `yaml:"rank_pattern"`
	Stages    []stage         `yaml:"stages"`
	Named     map[string]stage
	Extra     map[string]any `yaml:"extra"`
	Common    `yaml:",inline"`
	Level     level   `yaml:"level"`
	Tiny      int8    `yaml:"tiny"`
	Count     uint16  `yaml:"count"`
	Limit     *int    `yaml:"limit"`
	Scale     float32 `yaml:"scale"`
	Skipped   int     `yaml:"-"`
	//lint:ignore U1000 decoding must not see it
	private int
}

type modelConfig struct {
	Path string `yaml:"path"`
}

type optimizerConfig struct {
	Name  string     `yaml:"name"`
	LR    float64    `yaml:"lr"`
	Betas [2]float64 `yaml:"betas"`
}

type evalConfig struct {
	Every int    `yaml:"every"`
	Data  string `yaml:"data"`
}

type stage struct {
	Targets []string `yaml:"targets"`
	Rank    int      `yaml:"rank"`
}

type Common struct {
	Seed   int64 `yaml:"seed"`
	DryRun bool  `yaml:"dry_run"`
}

// level reads and writes its own form.
type level int

func (l *level) UnmarshalText(text []byte) error {
	if len(text) != 2 || text[0] != 'L' || text[1] < '0' || text[1] > '9' {
		return fmt.Errorf("level %q is not one of L0 to L9", text)
	}
	*l = level(text[1] - '0')
	return nil
}

func (l level) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "L%d", int(l)), nil }

func defaults() config {
	return config{
		Optimizer: optimizerConfig{Name: "adamw", LR: 1e-4, Betas: [2]float64{0.9, 0.999}},
		Eval:      &evalConfig{Every: 100},
		Common:    Common{Seed: 1},
	}
}

// expect compares got with the file at path, or writes the file under -update.
func expect(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant (%s)\n%s", got, path, want)
	}
}

func corpus(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in testdata: %v", pattern, err)
	}
	return files
}

func TestGoodFilesDecodeToTheExpectedValues(t *testing.T) {
	for _, path := range corpus(t, "*.good.yml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := defaults()
			if err := Decode(path, data, &c); err != nil {
				t.Fatal(err)
			}
			out, err := Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, strings.TrimSuffix(path, ".yml")+".resolved", string(out))
			var again config
			if err := Decode("resolved", out, &again); err != nil {
				t.Fatal(err)
			}
			twice, err := Marshal(again)
			if err != nil || !bytes.Equal(twice, out) {
				t.Errorf("the resolved file resolves to another one, %v:\n%s", err, twice)
			}
		})
	}
}

func TestBadFilesReportEveryMistake(t *testing.T) {
	for _, path := range corpus(t, "*.bad.yml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c := defaults()
			err = Decode(filepath.Base(path), data, &c)
			if err == nil {
				t.Fatal("accepted")
			}
			expect(t, strings.TrimSuffix(path, ".yml")+".errors", err.Error()+"\n")
		})
	}
}

func TestHostileTextsAreRefusedBriefly(t *testing.T) {
	bomb := "extra:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		r := strings.Repeat(fmt.Sprintf("*%c, ", 'a'+i), 10)
		bomb += fmt.Sprintf("  %c: &%c [%s]\n", 'b'+i, 'b'+i, strings.TrimSuffix(r, ", "))
	}
	for name, c := range map[string]struct{ text, reason string }{
		"alias bomb":        {bomb, "aliases multiply"},
		"alias cycle":       {"extra: &a\n  x: *a\n", "nested more than"},
		"deep flow":         {"extra: {a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "nested more than"},
		"deeper flow":       {"extra: " + strings.Repeat("[", 200000), "not valid YAML"},
		"deep block":        {"extra:\n" + strings.Repeat("- ", 300) + "x\n", "is a list"},
		"many unknown keys": {manyKeys(20000), "correct these 20 first"},
		"long key":          {strings.Repeat("k", 100000) + ": 1", "unknown key"},
		"long value":        {"tiny: " + strings.Repeat("v", 100000), "is the text"},
		"large file":        {strings.Repeat("# comment\n", 200000), "over the limit"},
		"invalid UTF-8":     {"model: {path: \"\xff\"}", "not valid YAML"},
		"control character": {"model: {path: \"\x00\"}", "not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := defaults()
			err := Decode("evil.yml", []byte(c.text), &c2)
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("error %v, want %q", err, c.reason)
			}
			if len(err.Error()) > 5000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	return b.String()
}

func TestSetChangesOneValue(t *testing.T) {
	seven := 7
	for _, c := range []struct {
		path, value string
		want        func(*config)
	}{
		{"optimizer.lr", "1e-3", func(c *config) { c.Optimizer.LR = 1e-3 }},
		{"optimizer.lr", "2", func(c *config) { c.Optimizer.LR = 2 }},
		{"optimizer.betas", "[0.8, 0.9]", func(c *config) { c.Optimizer.Betas = [2]float64{0.8, 0.9} }},
		{"model.path", "123", func(c *config) { c.Model.Path = "123" }},
		{"model.path", "a: b # c", func(c *config) { c.Model.Path = "a: b # c" }},
		{"model.path", "", func(c *config) { c.Model.Path = "" }},
		{"eval.every", "5", func(c *config) { c.Eval = &evalConfig{Every: 5} }},
		{"eval", "null", func(c *config) { c.Eval = nil }},
		{"eval", "{data: x}", func(c *config) { c.Eval = &evalConfig{Every: 100, Data: "x"} }},
		{"limit", "7", func(c *config) { c.Limit = &seven }},
		{"rank_pattern.layers.0.q_proj", "8", func(c *config) { c.Ranks = map[string]int{"layers.0.q_proj": 8} }},
		{"named.first.rank", "3", func(c *config) { c.Named = map[string]stage{"first": {Rank: 3}} }},
		{"stages", "[{rank: 1}, {rank: 2}]", func(c *config) { c.Stages = []stage{{Rank: 1}, {Rank: 2}} }},
		{"seed", "-3", func(c *config) { c.Seed = -3 }},
		{"dry_run", "true", func(c *config) { c.DryRun = true }},
		{"level", "L4", func(c *config) { c.Level = 4 }},
		{"extra.x", "[1, {y: 2.5}]", func(c *config) { c.Extra = map[string]any{"x": []any{1, map[string]any{"y": 2.5}}} }},
	} {
		got, want := defaults(), defaults()
		c.want(&want)
		if err := Set(&got, c.path, c.value); err != nil {
			t.Errorf("%s=%s: %v", c.path, c.value, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s=%s: %+v, want %+v", c.path, c.value, got, want)
		}
	}
}

func TestSetRefusals(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"optimizer.lrr", "1", `optimizer.lrr=1: optimizer.lrr: unknown key; did you mean lr?`},
		{"optimiser.lr", "1", `optimiser.lr=1: optimiser: unknown key; did you mean optimizer?`},
		{"optimizer.lr.x", "1", `optimizer.lr.x=1: optimizer.lr: has no keys, it is a number`},
		{"", "1", `=1: is the integer 1, expected a section of keys`},
		{"optimizer.lr", "fast", `optimizer.lr=fast: is the text "fast", expected a number`},
		{"optimizer.lr", "", `optimizer.lr=: is empty; expected keys and values`},
		{"optimizer.betas", "[1]", `optimizer.betas=[1]: has 1 elements, expected 2`},
		{"stages", "[{rank: 1.5}]", `stages=[{rank: 1.5}]: [0].rank: 1.5 is not an integer`},
		{"tiny", "128", `tiny=128: 128 is out of range, expected an integer from -128 to 127`},
		{"level", "7", `level=7: level "7" is not one of L0 to L9`},
		{"skipped", "7", `skipped=7: skipped: unknown key; did you mean`},
		{"private", "7", `private=7: private: unknown key`},
		{"optimizer.betas", "[1", `optimizer.betas=[1:`},
	} {
		cfg := defaults()
		err := Set(&cfg, c.path, c.value)
		if err == nil || !strings.HasPrefix(err.Error(), strings.TrimSuffix(c.want, " did you mean")) {
			t.Errorf("%s=%s: error %v, want %s", c.path, c.value, err, c.want)
		}
	}
}

func TestDefaultsSharedBetweenStructsStayAsTheyAre(t *testing.T) {
	shared := evalConfig{Every: 100}
	ranks := map[string]int{"a": 1}
	c := config{Eval: &shared, Ranks: ranks}
	if err := errors.Join(Decode("f", []byte("eval: {every: 1}\n"), &c), Set(&c, "eval.every", "2"), Set(&c, "rank_pattern.b", "2")); err != nil {
		t.Fatal(err)
	}
	if shared.Every != 100 || len(ranks) != 1 {
		t.Errorf("defaults changed to %+v, %v", shared, ranks)
	}
	if c.Eval.Every != 2 || !reflect.DeepEqual(c.Ranks, map[string]int{"a": 1, "b": 2}) {
		t.Errorf("decoded %+v, %v", c.Eval, c.Ranks)
	}
}

// TestSetYAMLTakesNoTextLiterally: it reads what a file may hold, and [Set] what a command line may.
func TestSetYAMLTakesNoTextLiterally(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"model.path", `"123"`, ""},
		{"model.path", "a/b", ""},
		{"optimizer.lr", "1e-3", ""},
		{"level", "L4", ""},
		{"model.path", "123", "model.path=123: is the integer 123, expected text; put it in quotes"},
		{"model.path", "null", "model.path=null: is empty, expected text; give a value or remove the key"},
		{"optimizer.lr", `"0.5"`, `optimizer.lr="0.5": is the text "0.5", expected a number; remove the quotes`},
	} {
		cfg := defaults()
		err := SetYAML(&cfg, c.path, c.value)
		if found := fmt.Sprint(err); c.want != "" && found != c.want || c.want == "" && err != nil {
			t.Errorf("%s=%s: error %v, want %s", c.path, c.value, err, c.want)
		}
	}
	cfg := defaults()
	if err := SetYAML(&cfg, "model.path", `"123"`); err != nil || cfg.Model.Path != "123" {
		t.Errorf("path %q, %v", cfg.Model.Path, err)
	}
}

// TestInlineIsReadBackAndKeepsToOneLine writes what a file held and sets it.
func TestInlineIsReadBackAndKeepsToOneLine(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{"a b", "a b"}, {"1e3", "'1e3'"}, {"", "''"}, {"null", "'null'"}, {"on", "'on'"}, {"two\nlines", `"two\nlines"`}, {"[x]", "'[x]'"},
		{1e-4, "1e-4"}, {2.0, "2.0"}, {3, "3"}, {uint64(1 << 63), "9223372036854775808"}, {true, "true"}, {nil, "null"}, {math.Inf(1), ".inf"},
		{[]any{"q", 1}, "[q, 1]"}, {[]any{map[string]any{"match": "a, b", "lr": 0.5}}, "[{lr: 0.5, match: 'a, b'}]"}, {[]any{}, "[]"}, {map[string]any{}, "{}"},
	} {
		text, err := Inline(c.value)
		if err != nil || text != c.want {
			t.Errorf("%#v: %s, %v; want %s", c.value, text, err, c.want)
		}
		var back map[string]any
		if err := SetYAML(&back, "x", text); err != nil || !reflect.DeepEqual(back["x"], c.value) {
			t.Errorf("%s: read back as %#v, %v", text, back["x"], err)
		}
	}
	if _, err := Inline(func() {}); err == nil {
		t.Error("a function was written")
	}
}

// TestAMapTakesAnyDocument decodes without knowing the keys.
func TestAMapTakesAnyDocument(t *testing.T) {
	var m map[string]any
	want := map[string]any{"a": map[string]any{"b": 1}, "seed": uint64(math.MaxUint64), "least": math.MinInt64, "list": []any{"x", 0.5}}
	if err := Decode("f", []byte("a: {b: 1}\nseed: 18446744073709551615\nleast: -9223372036854775808\nlist: [x, 0.5]\n"), &m); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%#v, %v", m, err)
	}
}

func TestTargetsThatAreNoStructPointersAreRefused(t *testing.T) {
	var nilPointer *config
	number := 1
	for _, into := range []any{nil, config{}, nilPointer, &number, map[string]any{}, &[]any{}} {
		if err := Decode("f", []byte("{}"), into); err == nil {
			t.Errorf("decoded into %T", into)
		}
		if err := Set(into, "a", "1"); err == nil {
			t.Errorf("set in %T", into)
		}
	}
	var unsupported struct {
		C chan int
		M map[int]int
		E error
	}
	err := Decode("f", []byte("c: 1\nm: {a: 1}\ne: 1\n"), &unsupported)
	if err == nil || strings.Count(err.Error(), "not supported") != 3 {
		t.Errorf("error %v", err)
	}
	if _, err := Marshal(unsupported); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("error %v", err)
	}
}

func TestFloatsComeBackToTheBit(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", -2.5: "-2.5", 1e-4: "1e-4", 0.001: "0.001", 3e6: "3e6", 999999: "999999.0", -1e-10: "-1e-10", 1.5e300: "1.5e300",
		5e-324: "5e-324", math.Inf(1): ".inf", math.Inf(-1): "-.inf", 0.1: "0.1",
	} {
		if got := formatFloat(f, 64); got != want {
			t.Errorf("%g is written %s, want %s", f, got, want)
		}
		var c struct{ X float64 }
		out, err := Marshal(struct{ X float64 }{f})
		if err == nil {
			err = Decode("f", out, &c)
		}
		if err != nil || c.X != f {
			t.Errorf("%g came back as %g, %v", f, c.X, err)
		}
	}
	if got := formatFloat(float64(float32(1e-4)), 32); got != "1e-4" {
		t.Errorf("float32 1e-4 is written %s", got)
	}
	if got := formatFloat(math.NaN(), 64); got != ".nan" {
		t.Errorf("NaN is written %s", got)
	}
}

func TestLocateFindsValues(t *testing.T) {
	data := []byte("optimizer:\n  lr: 1\nrank_pattern:\n  layers.0: 3\n  layers: {x: 1}\neval: &e {every: 2}\nnamed: *e\nlist: [a, {k: b}]\n")
	for path, want := range map[string]string{
		"":                      "f:1:1",
		"optimizer.lr":          "f:2:7",
		"rank_pattern.layers.0": "f:4:13",
		"rank_pattern.layers.x": "f:5:15",
		"eval.every":            "f:6:18",
		"named.every":           "f:6:18",
		"list":                  "f:8:7",
		"list[0]":               "f:8:8",
		"list[1].k":             "f:8:15",
		"list[2]":               "f",
		"list[-1]":              "f",
		"list[0":                "f",
		"list.0":                "f",
		"eval[0]":               "f",
		"optimizer.name":        "f",
		"optimizer.lr.x":        "f",
		"optimi":                "f",
	} {
		if got := Locate("f", data, path); got != want {
			t.Errorf("%q is at %s, want %s", path, got, want)
		}
	}
	if got := Locate("f", []byte("[1"), "x"); got != "f" {
		t.Errorf("broken file: %s", got)
	}
}

func TestDecodeSectionReadsAPartWithItsPlaces(t *testing.T) {
	data := []byte("name: x\nparts:\n- {lr: 1}\n- {lr: 2, epz: 3}\n")
	type part struct {
		LR  float64 `yaml:"lr"`
		Eps float64 `yaml:"eps"`
	}
	var p part
	if err := DecodeSection("f", data, "parts[0]", &p); err != nil || p.LR != 1 {
		t.Errorf("found %+v, %v", p, err)
	}
	for section, want := range map[string]string{
		"parts[1]": "f:4:11: parts[1].epz: unknown key; did you mean eps?",
		"parts":    "f:3:1: parts: is a list, expected a section of keys",
		"prats":    "f: section prats is missing",
	} {
		if err := DecodeSection("f", data, section, &p); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", section, err, want)
		}
	}
}

func TestZeroSettingsThatDoNotApplyAreLeftOut(t *testing.T) {
	type settings struct {
		Name  string  `yaml:"name"`
		Scale float64 `yaml:"scale,omitzero"`
		Power *int    `yaml:"power,omitzero"`
	}
	zero := 0
	for want, s := range map[string]settings{
		"name: ''\n": {}, "name: a\nscale: 0.5\n": {Name: "a", Scale: 0.5}, "name: a\npower: 0\n": {Name: "a", Power: &zero},
	} {
		out, err := Marshal(s)
		if err != nil || string(out) != want {
			t.Errorf("%+v is written %q, want %q (%v)", s, out, want, err)
		}
		var again settings
		if err := Decode("f", out, &again); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q is read as %+v, %v", out, again, err)
		}
	}
}
