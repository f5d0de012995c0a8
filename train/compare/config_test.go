package compare

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/internal/strictyaml"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
)

// small compares two rules on the bundled model; with rows this short a run takes a fraction of a second.
const small = `
base:
  model: {path: builtin:quickstart/model}
  data: {train: builtin:quickstart/pairs-heldout.jsonl, heldout: builtin:quickstart/pairs-heldout.jsonl, heldout_limit: 2, max_length: 24}
  adapter: {rank: 2, targets: [q_proj]}
  optimizer: {name: adamw, lr: 1e-3}
  train: {steps: 4, batch: 1, save_every: 1, eval_every: 2, seed: 5}
variants:
- {name: adamw, lr: [4e-3, 1e-3]}
- {name: sgd, set: {optimizer: {name: sgd, momentum: 0.5}}, lr: [0.1]}
seeds: [1, 2]
tune: {seeds: 1}
timing: 1
`

func mustParse(t *testing.T, text string, sets ...string) *Plan {
	t.Helper()
	p, err := Parse("small.yaml", []byte(text), sets)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryRunGetsItsOwnConfig(t *testing.T) {
	p := mustParse(t, small, "out=o")
	if p.Out() != "o" || p.tuning != 1 || p.baseline != 0 || !reflect.DeepEqual(p.variants[0].rates, []float64{1e-3, 4e-3}) {
		t.Errorf("plan %+v", p)
	}
	cfg, err := p.config(job{1, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join("o", "runs", "sgd", "lr-0.1", "seed-2"); cfg.Out != want || cfg.Optimizer.LR != 0.1 || cfg.Train.Seed != 2 || cfg.Train.Steps != 4 {
		t.Errorf("found %+v, expected it in %s", cfg, want)
	}
	if rule, ok := cfg.Optimizer.Rule.(*optim.SGD); !ok || rule.Momentum != 0.5 {
		t.Errorf("rule %+v", cfg.Optimizer.Rule)
	}
}

func TestDefaultsOfAComparison(t *testing.T) {
	text := "base: builtin:quickstart.yaml\nset: {train.steps: 7}\nvariants: [{name: a}, {name: b, set: {optimizer.name: muon}}]\n"
	p := mustParse(t, text)
	if p.Out() != filepath.Join("runs", "small") || p.cfg.Timing != defaultTiming || p.cfg.Tune.By != ByBest || p.tuning != 1 || p.parallel() < 1 {
		t.Errorf("plan %+v with %+v", p, p.cfg)
	}
	if !reflect.DeepEqual(p.seeds, []uint64{1}) || p.base.Train.Steps != 7 { // the seed of the base
		t.Errorf("seeds %v, steps %d", p.seeds, p.base.Train.Steps)
	}
	if !reflect.DeepEqual(p.variants[0].rates, []float64{2e-3}) { // its learning rate
		t.Errorf("rates %v", p.variants[0].rates)
	}
}

func TestOverridesReachTheComparisonAndItsBase(t *testing.T) {
	p := mustParse(t, small, "seeds=[7]", "tune.seeds=0", "set.train.steps=9", "lr=[1]", "variants=[{name: x}, {name: y}]", "baseline=y", "parallel=3")
	if p.base.Train.Steps != 9 || p.baseline != 1 || p.parallel() != 3 || !reflect.DeepEqual(p.seeds, []uint64{7}) || p.variants[0].rates[0] != 1 {
		t.Errorf("plan %+v", p)
	}
}

// TestAnOverrideMeansWhatItMeansForOneRun gives the same text to train and, as one of the base, to compare: both take it for the same or
// refuse it.
func TestAnOverrideMeansWhatItMeansForOneRun(t *testing.T) {
	base := "model: {path: m}\ndata: {train: a.jsonl, heldout: b.jsonl}\ntrain: {steps: 10}\nadapter: {rank_pattern: {q: 1}}\n"
	comparison := "base: {" + strings.ReplaceAll(strings.TrimSpace(base), "\n", ", ") + "}\nvariants: [{name: a}, {name: b}]\nout: o\n"
	for _, text := range []string{
		"model.path=1e3", "model.path=007", "model.path=true", "model.path=~", "model.path=", "model.path='a'", "model.path=[a]", "model.path={a: 1}", "model.path=a: b # c",
		"data.heldout=1e3", "data.heldout=[x, y]", "optimizer.lr=1e-3", "optimizer.lr='1e-3'", "optimizer.lr=fast", "optimizer.lr=", "train.steps=007", "train.steps=0x10",
		"adapter.targets=q_proj", "adapter.targets=[q_proj]", "adapter.targets=3", "adapter.rank_pattern={k: 2}", "adapter.rank_pattern.self.k=2",
		"optimizer={name: sgd, momentum: 0.5}", "optimizer={name: sgd, momentum: '0.5'}", "optimizer={name: sgd, momentum: 0.5, momentum: 1}", "optimizer={}", "optimizer=sgd",
		"optimizer.groups=[{match: q, lr: 0.5}]", "optimizer.groups=[{match: 3}]", "train={steps: 5}", "train.steps=18446744073709551615",
	} {
		alone, err := train.ParseConfig("small.yaml", []byte(base), []string{text, "out=x"})
		p, compareErr := Parse("small.yaml", []byte(comparison), []string{"set." + text})
		if err != nil || compareErr != nil {
			if err == nil || compareErr == nil {
				t.Errorf("%s: train says %v, compare %v", text, err, compareErr)
			}
			continue
		}
		if p.base.Out = "x"; !reflect.DeepEqual(p.base, alone) {
			t.Errorf("%s: compare has %+v\ntrain %+v", text, p.base, alone)
		}
	}
}

// TestTheLastOverrideCounts sets values in the file and on the command line, alone and as a section.
func TestTheLastOverrideCounts(t *testing.T) {
	const text = "base: builtin:quickstart.yaml\nset: {train: {steps: 7}, optimizer.weight_decay: 0.5}\n%svariants: [{name: a}, {name: b}]\n"
	for _, c := range []struct {
		file  string
		sets  []string
		steps int
		decay float64
	}{
		{"", nil, 7, 0.5},
		{"", []string{"set.train.steps=8"}, 8, 0.5},
		{"", []string{"set.train={steps: 8}"}, 8, 0.5},
		{"", []string{"set.train={steps: 8}", "set.train.steps=9"}, 9, 0.5},
		{"", []string{"set.train.steps=9", "set.train={steps: 8}"}, 8, 0.5},
		{"", []string{"set.train.steps=9", "set.optimizer={weight_decay: 0.25}", "set.train.steps=10"}, 10, 0.25},
		{"", []string{"set.train.steps=9", "set={optimizer: {weight_decay: 0.25}}"}, 200, 0.25},
		{"", []string{"set={optimizer: {weight_decay: 0.25}}", "set.train.steps=9"}, 9, 0.25},
		{"overrides: [train.steps=11]\n", nil, 11, 0.5},
		{"overrides: [train.steps=11, 'train={steps: 12}']\n", nil, 12, 0.5},
		{"overrides: [train.steps=11]\n", []string{"set.train.steps=9"}, 9, 0.5},
		{"overrides: [train.steps=11]\n", []string{"overrides=[optimizer.weight_decay=0.1]"}, 7, 0.1},
	} {
		p, err := Parse("small.yaml", fmt.Appendf(nil, text, c.file), c.sets)
		if err != nil {
			t.Errorf("%q: %v", c.sets, err)
			continue
		}
		resolved, err := p.cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again := mustParse(t, string(resolved))
		for _, p := range []*Plan{p, again} {
			if p.base.Train.Steps != c.steps || p.base.Optimizer.WeightDecay != c.decay {
				t.Errorf("%q %q: %d steps, decay %v; want %d and %v", c.file, c.sets, p.base.Train.Steps, p.base.Optimizer.WeightDecay, c.steps, c.decay)
			}
		}
	}
}

// TestBadComparisonsAreRefusedWithPlaceAndRemedy changes small in one place each.
func TestBadComparisonsAreRefusedWithPlaceAndRemedy(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"seeds:", "sedes:", "small.yaml:11:1: sedes: unknown key; did you mean seeds?"},
		{"[1, 2]", "[1, 1]", "small.yaml:11:8: seeds: 1 occurs twice"},
		{"tune: {seeds: 1}", "tune: {seeds: 3}", "small.yaml:12:15: tune.seeds: is 3, expected a number from 1 to the 2 seeds, or 0 for all"},
		{"tune: {seeds: 1}", "tune: {by: worst}", `small.yaml:12:12: tune.by: is "worst", expected best or final`},
		{"timing: 1", "timing: -1", "small.yaml:13:9: timing: is -1, expected a number of steps, or 0 for none"},
		{"timing: 1", "parallel: -1", "small.yaml:13:11: parallel: is -1, expected at least 1, or 0 to choose"},
		{"timing: 1", "out: ''", "small.yaml:13:6: out: is empty; name the folder of the comparison"},
		{"timing: 1", "baseline: adam", `small.yaml:13:11: baseline: unknown variant "adam"; known are adamw, sgd; did you mean adamw?`},
		{"name: sgd, set", "name: AdamW, set", `small.yaml:10:10: variants[1].name: "AdamW" occurs twice; some systems take upper and lower case for the same`},
		{"name: sgd, set", "name: a/b, set", `small.yaml:10:10: variants[1].name: is "a/b", expected a name of letters, digits and _.+-, because a folder is called so`},
		{"lr: [0.1]", "lr: [0.1, -1, 0.1]", "small.yaml:10:65: variants[1].lr: holds -1, expected positive numbers\nsmall.yaml:10:65: variants[1].lr: 0.1 occurs twice"},
		{"momentum: 0.5", "momentm: 0.5", "small.yaml:10:53: optimizer.momentm=0.5: optimizer.momentm: unknown key; did you mean momentum?"},
		{"momentum: 0.5", "lr: 0.5", "small.yaml:10:48: variants[1].set.optimizer.lr: stands beside a grid of learning rates; write lr: [0.5] in the variant instead"},
		{"momentum: 0.5}}", "momentum: 0.5}, train.batch: 2}", "variants[1].set.train.batch: variants train on the same model, data and batches and may differ in optimizer, adapter, schedule, "},
		{"momentum: 0.5", "momentum: 2", "small.yaml:10:39: optimizer: sgd: momentum 2; it must be at least 0 and less than 1"},
		{"name: sgd, momentum", "name: sdg, momentum", `small.yaml:10:39: unknown optimizer "sdg"; known are`},
		{"steps: 4", "steps: -4", "small.yaml:7:18: train.steps: is -4, expected at least 0"},
		{"steps: 4", "stps: 4", "small.yaml:7:11: base.train.stps: unknown key; did you mean steps?"},
		{"eval_every: 2", "eval_every: 0", "small.yaml:3:3: base: variants are compared by their held-out loss; set data.heldout and train.eval_every"},
		{"timing: 1", "set: {out: x, train.seed: 3}", "small.yaml:13:12: set.out: runs have their folders in that of the comparison; set out instead\nsmall.yaml:13:27: set.train.seed: stands beside seeds; remove it"},
		{"timing: 1", "set: {trian.steps: 3}", "small.yaml:13:20: trian.steps=3: trian: unknown key; did you mean train?"},
		{"timing: 1", "set: {train.steps: '3'}", "small.yaml:13:20: train.steps='3': is the text \"3\", expected an integer; remove the quotes"},
		{"timing: 1", "set: {model.path: 1e3}", "small.yaml:13:19: model.path=1000.0: is the number 1000.0, expected text; put it in quotes"},
		{"timing: 1", "set: {train: {steps: 3}, train.steps: 4}", "small.yaml:13:39: set.train.steps: is set twice, with and without dots; remove one of them"},
		{"momentum: 0.5}}", "momentum: 0.5}, optimizer.momentum: 1}", "small.yaml:10:80: variants[1].set.optimizer.momentum: is set twice, with and without dots; remove one of them"},
		{"timing: 1", "overrides: [train.steps]", `small.yaml:13:13: overrides[0]: is "train.steps", expected KEY=VALUE, such as train.steps=100`},
		{"timing: 1", "overrides: ['train={seed: 3}']", "small.yaml:13:13: set.train.seed: stands beside seeds; remove it"},
		{"timing: 1", "overrides: [train.stps=3]", "small.yaml:13:13: train.stps=3: train.stps: unknown key; did you mean steps?"},
		{"- {name: sgd", "#- {name: sgd", "small.yaml:9:1: variants: has 1 entries, expected at least two to compare"},
	} {
		text := strings.Replace(small, c.from, c.to, 1)
		if text == small {
			t.Fatalf("%q is not there", c.from)
		}
		if _, err := Parse("small.yaml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\nerror %v\nwant  %s", c.to, err, c.want)
		}
	}
}

func TestBadBasesAndOverridesAreRefused(t *testing.T) {
	variants := "\nvariants: [{name: a}, {name: b}]\n"
	for _, c := range []struct{ text, set, want string }{
		{"base: nowhere.yaml" + variants, "", "small.yaml:1:7: base: open nowhere.yaml: "},
		{"base: builtin:quickstar.yaml" + variants, "", "small.yaml:1:7: base: configs: builtin:quickstar.yaml is not built in"},
		{"base: 3" + variants, "", "small.yaml:1:7: base: is 3, expected the path of a training config or its sections"},
		{"seeds: [1]" + variants, "", "small.yaml: base: is missing; name a training config such as builtin:quickstart.yaml"},
		{"base: builtin:quickstart.yaml\ntune: {seeds: 2}" + variants, "", "small.yaml:2:15: tune.seeds: is 2, but there is one seed only; set seeds"},
		{small, "train.steps=3", "--set train.steps=3: train: unknown key; valid keys here: base, set, overrides, variants, baseline, lr, seeds, tune, timing, parallel, out; to change it for all variants, write --set set.train.steps=..."},
		{small, "seeds=[3, 3]", "--set seeds=[3, 3]: seeds: 3 occurs twice"},
		{small, "seeds", "--set seeds: expected key=value"},
		{small, "set.train.batch=0", "--set set.train.batch=0: train.batch: is 0, expected at least 1"},
		{small, "set.train={batch: 0}", "--set set.train={batch: 0}: train.batch: is 0, expected at least 1"},
		{small, "set.train={seed: 3}", "--set set.train={seed: 3}: set.train.seed: stands beside seeds; remove it"},
		{small, "set={train.seed: 3}", "--set set={train.seed: 3}: set.train.seed: stands beside seeds; remove it"},
		{small, "base={model: {path: x}, out: y}", "--set base={model: {path: x}, out: y}"},
	} {
		var sets []string
		if c.set != "" {
			sets = []string{c.set}
		}
		if _, err := Parse("small.yaml", []byte(c.text), sets); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.30q %s:\nerror %v\nwant  %s", c.text, c.set, err, c.want)
		}
	}
	if _, err := Load("nowhere.yaml", nil); err == nil || !strings.HasPrefix(err.Error(), "compare: read config: open nowhere.yaml: ") {
		t.Errorf("error %v", err)
	}
}

func TestTheResolvedComparisonReproducesItself(t *testing.T) {
	p := mustParse(t, small, "seeds=[3, 4]")
	text, err := p.cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("compare.yaml", text, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for v := range p.variants {
		a, err1 := p.config(job{variant: v, seed: 1})
		b, err2 := again.config(job{variant: v, seed: 1})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%+v became %+v", a, b)
		}
	}
}

func TestEveryShippedComparisonIsValid(t *testing.T) {
	n := 0
	for _, name := range configs.List() {
		if !strings.HasPrefix(name, "compare-") {
			continue
		}
		n++
		path, err := configs.Resolve(configs.Scheme + name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Load(path, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if want := filepath.Join("runs", strings.TrimSuffix(name, ".yaml")); p.Out() != want {
			t.Errorf("%s: out is %s, expected %s", name, p.Out(), want)
		}
	}
	if n == 0 {
		t.Error("no comparison is shipped")
	}
}

// FuzzParse checks that no text panics and that an accepted comparison is written to one that means the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small), "seeds=[3]")
	f.Add([]byte("base: {model: {path: m}, train: {steps: 1}}\noverrides: [train.steps=3, 'train={steps: 4}']\nvariants: [{name: a}, {name: b}]\n"), "set.model.path=1e3")
	f.Add([]byte("base: {model: {path: m}}\nlr: [1, 2]\nvariants: [{name: a, set: {adapter.init.name: pissa}}, {name: b}]\n"), "set.train.steps=3")
	f.Add([]byte(`{"base": {"model": null}, "set": {"a": {"b": []}}, "variants": [{}, {"name": "x", "lr": [1e999]}]}`), "base=[1]")
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		if _, isPath := strictyaml.Peek(data, "base"); isPath || strings.HasPrefix(set, "base=") {
			return // it may be any file of the system, also one that has no end
		}
		p, err := Parse("fuzz.yaml", data, []string{set})
		if err != nil {
			return
		}
		text, err := p.cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("fuzz.yaml", text, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if twice, err := again.cfg.YAML(); err != nil || !bytes.Equal(text, twice) {
			t.Fatalf("%v\n%s\n%s", err, text, twice)
		}
	})
}
