package train_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	builtin "github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

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

func configs(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "config", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in testdata: %v", pattern, err)
	}
	return files
}

func TestAResolvedConfigShowsEveryDefaultAndReproducesItself(t *testing.T) {
	for _, path := range configs(t, "*.good.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, err := train.LoadConfig(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.YAML()
			if err != nil {
				t.Fatal(err)
			}
			expect(t, strings.TrimSuffix(path, ".yaml")+".resolved", string(out))
			again, err := train.ParseConfig("elsewhere/config.yaml", out, nil)
			if err != nil {
				t.Fatal(err)
			}
			twice, err := again.YAML()
			if err != nil || !bytes.Equal(out, twice) {
				t.Errorf("the resolved config resolves to another one, %v:\n%s", err, twice)
			}
		})
	}
}

func TestABadConfigReportsEveryMistakeWithPlaceAndRemedy(t *testing.T) {
	for _, path := range configs(t, "*.bad.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = train.ParseConfig(filepath.Base(path), data, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			expect(t, strings.TrimSuffix(path, ".yaml")+".errors", strings.ReplaceAll(err.Error(), rules, "RULES")+"\n")
		})
	}
}

// rules are the names of all rules, as errors list them; expected texts say RULES, so that a new rule changes none.
var rules = strings.Join(optim.Names(), ", ")

const tiny = "model: {path: m}\ndata: {train: a.jsonl}\noptimizer: {name: adamw, betas: [0.8, 0.9]}\ntrain: {steps: 10}\n"

func TestOverridesWinInOrder(t *testing.T) {
	c, err := train.ParseConfig("dir/tiny.yaml", []byte(tiny), []string{
		"train.steps=5", "train.steps=7", "data.train=[x.jsonl, y.jsonl]", "data.heldout=z.jsonl", "adapter.targets=[q_proj]",
		"train.seed=0", "optimizer.eps=1e-6", "model.path=a=b",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Train.Steps != 7 || c.Train.Seed != 0 || c.Model.Path != "a=b" || c.Out != filepath.Join("runs", "tiny") ||
		!reflect.DeepEqual(c.Data.Train, train.Files{"x.jsonl", "y.jsonl"}) || !reflect.DeepEqual(c.Data.HeldOut, train.Files{"z.jsonl"}) ||
		!reflect.DeepEqual(c.Adapter.Targets, []any{"q_proj"}) {
		t.Errorf("found %+v", c)
	}
	if want := (&optim.AdamW{Betas: [2]float64{0.8, 0.9}, Eps: 1e-6}); !reflect.DeepEqual(c.Optimizer.Rule, want) {
		t.Errorf("rule %+v, want %+v", c.Optimizer.Rule, want)
	}
}

func TestAnOverriddenOptimizerBringsItsOwnDefaults(t *testing.T) {
	sgd := (&optim.SGD{}).Defaults()
	for _, c := range []struct {
		file     string
		sets     []string
		lr       float64
		decay    float64
		momentum float64
	}{
		{tiny, []string{"optimizer.name=sgd"}, sgd.LR, sgd.WeightDecay, 0.9},
		{tiny, []string{"optimizer.momentum=0.5", "optimizer.name=sgd"}, sgd.LR, sgd.WeightDecay, 0.5},
		{tiny, []string{"optimizer={name: sgd, lr: 0.3, momentum: 0}"}, 0.3, sgd.WeightDecay, 0},
		{strings.Replace(tiny, "betas", "lr: 0.7, weight_decay: 0.2, betas", 1), []string{"optimizer.name=sgd"}, 0.7, 0.2, 0.9},
		{tiny, []string{"optimizer.name=sgd", "optimizer.weight_decay=0.3"}, sgd.LR, 0.3, 0.9},
	} {
		got, err := train.ParseConfig("tiny.yaml", []byte(c.file), c.sets)
		if err != nil {
			t.Errorf("%q: %v", c.sets, err)
			continue
		}
		rule, ok := got.Optimizer.Rule.(*optim.SGD)
		if !ok || got.Optimizer.Name != "sgd" || got.Optimizer.LR != c.lr || got.Optimizer.WeightDecay != c.decay || rule.Momentum != c.momentum {
			t.Errorf("%q: found %+v with rule %+v", c.sets, got.Optimizer, got.Optimizer.Rule)
		}
	}
}

func TestBadOverridesAreNamed(t *testing.T) {
	for set, want := range map[string]string{
		"train.steps":           "--set train.steps: expected key=value, such as optimizer.lr=1e-4",
		"=1":                    "--set =1: expected key=value, such as optimizer.lr=1e-4",
		"train.stps=3":          "--set train.stps=3: train.stps: unknown key; did you mean steps?",
		"optimizer.momentum=3":  "--set optimizer.momentum=3: optimizer.momentum: unknown key; valid keys here: name, lr, weight_decay, decay_matrices_only, groups, betas, eps",
		"optimizer.name=admw":   "--set optimizer.name=admw: unknown optimizer \"admw\"; known are " + rules + "; did you mean adamw?",
		"train.batch=0":         "--set train.batch=0: train.batch: is 0, expected at least 1",
		"train={batch: 0}":      "--set train={batch: 0}: train.batch: is 0, expected at least 1",
		"optimizer.lr=-1":       "--set optimizer.lr=-1: optimizer.lr: is -1, expected a finite number that is not negative",
		"optimizer.eps=-1":      "--set optimizer.eps=-1: optimizer: adamw: eps -1; it must be finite and not negative",
		"train.steps=0":         "--set train.steps=0: train.steps: is missing; set it or train.epochs",
		"schedule.warmup=-1":    "--set schedule.warmup=-1: schedule.warmup: is -1, expected at least 0",
		"adapter.init.name=pis": "--set adapter.init.name=pis: adapter.init.name: ",
	} {
		_, err := train.ParseConfig("tiny.yaml", []byte(tiny), []string{set})
		if err == nil {
			t.Errorf("%s: accepted", set)
		} else if err.Error() != want && !strings.HasSuffix(want, ": ") {
			t.Errorf("%s: error\n%v\nwant\n%s", set, err, want)
		}
	}
}

func TestAMissingConfigFileIsNamed(t *testing.T) {
	_, err := train.LoadConfig("no/such.yaml", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "train: read config: open no/such.yaml: ") {
		t.Errorf("error %v", err)
	}
}

func TestAConfigMadeInGoIsValidatedToo(t *testing.T) {
	c := train.DefaultConfig()
	c.Model.Path, c.Data.Train, c.Train.Steps, c.Out = "m", train.Files{"a.jsonl"}, 1, "o"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Train.Batch, c.Optimizer.Rule = 0, nil
	if err := c.Validate(); err == nil || err.Error() != "optimizer.name: has no rule; known are "+rules+"\ntrain.batch: is 0, expected at least 1" {
		t.Errorf("error %v", err)
	}
}

func TestEveryRecipeIsAValidConfig(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	n := 0
	for _, name := range builtin.List() {
		if filepath.Ext(name) != ".yaml" || strings.HasPrefix(name, "compare-") { // those are package compare's
			continue
		}
		n++
		path, err := builtin.Resolve(builtin.Scheme + name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := train.LoadConfig(path, nil)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if want := filepath.Join("runs", strings.TrimSuffix(name, ".yaml")); c.Out != want {
			t.Errorf("%s: out is %s, expected %s", name, c.Out, want)
		}
	}
	if n < 3 {
		t.Errorf("only %d recipes", n)
	}
}

// FuzzParseConfig checks that no text panics and that an accepted config is written to one that means the same.
func FuzzParseConfig(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "config", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "optimizer.name=sgd")
	}
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		c, err := train.ParseConfig("fuzz.yaml", data, []string{set})
		if err != nil {
			return
		}
		out, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := train.ParseConfig("fuzz.yaml", out, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if twice, err := again.YAML(); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%v\n%s\n%s", err, out, twice)
		}
	})
}
