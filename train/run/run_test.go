package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// recipe is a short run on the bundled data with everything that can differ between two runs: dropout, packing, accumulation,
// shuffling, evaluation, a schedule. The model is random and small, so that it takes a second.
const recipe = `
model: {path: %q}
data:
  train: builtin:quickstart/pairs-heldout.jsonl
  heldout: builtin:quickstart/pairs-heldout.jsonl
  heldout_limit: 4
  max_length: 64
  pack: %v
adapter: {type: %s}
optimizer: {name: adamw, lr: 1e-3}
schedule: {name: cosine, warmup: 2}
train: {steps: 6, batch: 2, accumulate: 2, clip_grad_norm: 1, save_every: 2, eval_every: 3, spectrum_every: 2, checkpointing: %v, seed: 7}
out: %q
`

const tinyConfig = `{"model_type":"llama","hidden_size":32,"intermediate_size":48,"num_hidden_layers":2,"num_attention_heads":4,
"num_key_value_heads":2,"vocab_size":4096,"max_position_embeddings":64,"rms_norm_eps":1e-5,"tie_word_embeddings":true,
"hidden_act":"silu","initializer_range":0.02,"eos_token_id":0}`

// tinyModel makes a model directory of random weights with the bundled tokenizer.
func tinyModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	cfg, err := transformer.ParseConfig("config.json", []byte(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	m, err := transformer.Random(cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "configs", "quickstart", "model", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type variant struct {
	adapter    string
	pack       bool
	checkpoint bool
	sets       []string
}

var variants = []variant{
	{"lora, rank: 2, dropout: 0.1", false, false, nil},
	{"dora, rank: 2, bias: all", true, true, nil},
	{"full", true, false, nil},
	fromGradient,
	{"lora, rank: 2, init: {name: loi, scale: 1, base: modified, batches: 3, power: 0, oversample: 3}", true, true, riemannion},
	{"lora, rank: 2, modules_to_save: [norm], init: {name: loi, scale: 1, base: modified}", false, false, nil},
	{"lora, rank: 2, init: {name: lora_ga, seed: 3}", true, false, nil},
	fromWeights,
	{"dora, rank: 2, init: {name: pissa}", true, true, nil},
	{"lora, rank: 2, init: {name: milora, base: modified}", false, false, riemannion},
}

// fromGradient is a run whose start takes passes through the data that a resumed run must not repeat.
var fromGradient = variant{"lora, rank: 2, dropout: 0.1, init: {name: loi, scale: 1}", false, false, riemannion}

// fromWeights is a run whose start decomposes weights, which a resumed run must not repeat.
var fromWeights = variant{"lora, rank: 2, dropout: 0.1, init: {name: milora}", false, false, riemannion}

var riemannion = []string{"optimizer.name=riemannion", "optimizer.lr=0.01"}

func (v variant) config(t *testing.T, model, out string, sets ...string) *train.Config {
	t.Helper()
	text := fmt.Sprintf(recipe, model, v.pack, v.adapter, v.checkpoint, out)
	cfg, err := train.ParseConfig("run.yaml", []byte(text), append(slices.Clone(v.sets), sets...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// carryOut opens and trains; finish may end the run early.
func carryOut(t *testing.T, cfg *train.Config, o run.Options, finish context.Context) error {
	t.Helper()
	r, err := run.Open(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.Train(finish, context.Background())
}

// result returns the bytes of what a run trained.
func result(t *testing.T, out string) []byte {
	t.Helper()
	for _, name := range []string{"adapter/adapter_model.safetensors", "model/model.safetensors"} {
		if data, err := os.ReadFile(filepath.Join(out, name)); err == nil {
			return data
		}
	}
	t.Fatalf("%s holds no result", out)
	return nil
}

// TestTheResultDependsOnTheConfigAlone runs each variant on one and on several threads, stopped after every step and resumed, and with
// its own config.yaml: always the same bytes.
func TestTheResultDependsOnTheConfigAlone(t *testing.T) {
	model := tinyModel(t)
	for _, v := range variants {
		t.Run(v.adapter, func(t *testing.T) {
			whole := filepath.Join(t.TempDir(), "whole")
			if err := carryOut(t, v.config(t, model, whole), run.Options{}, context.Background()); err != nil {
				t.Fatal(err)
			}
			want := result(t, whole)

			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			out := filepath.Join(t.TempDir(), "pieces")
			for i := range 6 {
				runtime.GOMAXPROCS(1 + i%3)
				ended, cancel := context.WithCancel(context.Background())
				cancel()
				err := carryOut(t, v.config(t, model, out), run.Options{Resume: true}, ended)
				if last := i == 5; last != (err == nil) || !last && !errors.Is(err, train.ErrInterrupted) {
					t.Fatalf("piece %d: found error %v", i, err)
				}
			}
			if !bytes.Equal(result(t, out), want) {
				t.Error("stopped after every step and resumed on 1 to 3 threads, the run gives other bytes")
			}
			checkBase(t, v.config(t, model, out), out, whole)
			if a, b := metrics(t, out), metrics(t, whole); !slices.Equal(a, b) {
				t.Errorf("metrics of the resumed run:\n%s\nof the uninterrupted run:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
			}

			again := filepath.Join(t.TempDir(), "again")
			cfg, err := train.LoadConfig(filepath.Join(whole, "config.yaml"), []string{"out=" + again})
			if err != nil {
				t.Fatal(err)
			}
			if err := carryOut(t, cfg, run.Options{}, context.Background()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(result(t, again), want) {
				t.Error("the config.yaml of the run gives other bytes")
			}
		})
	}
}

// checkBase compares the base models that two runs wrote, if they wrote any, and then that which a resumed run writes in the place of one
// that got lost: it must not hold what was trained since.
func checkBase(t *testing.T, cfg *train.Config, out, whole string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join(whole, "base", "model.safetensors"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, lost := range []bool{false, true} {
		if lost {
			if err := os.RemoveAll(filepath.Join(out, "base")); err != nil {
				t.Fatal(err)
			}
			if err := carryOut(t, cfg, run.Options{Resume: true}, context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(filepath.Join(out, "base", "model.safetensors")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the base model differs from that of the uninterrupted run (lost before: %v, error %v)", lost, err)
		}
	}
}

// TestEveryRuleContinuesBitForBit stops a run of every registered rule after its first step, which all of them remember something of, and
// resumes it.
func TestEveryRuleContinuesBitForBit(t *testing.T) {
	model := tinyModel(t)
	v := variant{"dora, rank: 2, bias: all, targets: [q_proj, down_proj]", false, false, []string{
		"data.max_length=24", "data.heldout=[]", "train.steps=3", "train.accumulate=1", "train.save_every=0", "schedule.name=constant", "schedule.warmup=0",
	}}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range optim.Names() {
		t.Run(name, func(t *testing.T) {
			sets := []string{"optimizer.name=" + name}
			if name == "loro" { // an exact step on either side of the stop
				sets = append(sets, "optimizer.period=1")
			}
			whole, pieces := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "pieces")
			if err := carryOut(t, v.config(t, model, whole, sets...), run.Options{}, context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := carryOut(t, v.config(t, model, pieces, sets...), run.Options{}, ended); !errors.Is(err, train.ErrInterrupted) {
				t.Fatalf("found error %v", err)
			}
			if err := carryOut(t, v.config(t, model, pieces, sets...), run.Options{Resume: true}, context.Background()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(result(t, pieces), result(t, whole)) {
				t.Error("stopped and resumed, the run gives other bytes")
			}
		})
	}
}

// TestMetricsTellTheSpectrumWhenDue looks for the ratio of singular values in every second line of a step.
func TestMetricsTellTheSpectrumWhenDue(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	if err := carryOut(t, variants[0].config(t, tinyModel(t), out), run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, line := range readMetrics(t, filepath.Join(out, train.MetricsFile)) {
		if line.GradNorm == 0 { // an evaluation
			continue
		}
		due := line.Step%2 == 0
		if found := line.SigmaRatio > 0 && line.SigmaRatio <= 1 && strings.HasPrefix(line.SigmaLayer, "model.layers."); found != due {
			t.Errorf("step %d: ratio %v in %q; due: %v", line.Step, line.SigmaRatio, line.SigmaLayer, due)
		}
	}
}

// metrics returns the lines of metrics.jsonl without what the clock says.
func metrics(t *testing.T, out string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(out, train.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, `,"step_s"`)
		line, _, _ = strings.Cut(line, `,"eval_s"`)
		lines = append(lines, line)
	}
	return lines
}

func TestAFolderWithARunIsNotOverwritten(t *testing.T) {
	model, out := tinyModel(t), filepath.Join(t.TempDir(), "run")
	v := variants[0]
	if err := carryOut(t, v.config(t, model, out), run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	before := result(t, out)
	err := carryOut(t, v.config(t, model, out, "train.seed=8"), run.Options{}, context.Background())
	if err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("found error %v, expected advice to resume", err)
	}
	if !bytes.Equal(result(t, out), before) {
		t.Error("the result was overwritten")
	}
	err = carryOut(t, v.config(t, model, out, "data.pack=true"), run.Options{Resume: true}, context.Background())
	if err == nil || !strings.Contains(err.Error(), "differ from those of the checkpoint") {
		t.Errorf("resuming on other data: found error %v", err)
	}
}

// TestARunEndedBeforeItsFirstCheckpointStartsOverCleanly leaves metrics without a checkpoint behind, as a killed process does.
func TestARunEndedBeforeItsFirstCheckpointStartsOverCleanly(t *testing.T) {
	model, out := tinyModel(t), filepath.Join(t.TempDir(), "run")
	v := variants[0]
	if err := carryOut(t, v.config(t, model, out), run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	want := metrics(t, out)
	if err := os.RemoveAll(filepath.Join(out, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	steps := 0
	observe := func(train.StepMetrics) { steps++ }
	if err := carryOut(t, v.config(t, model, out), run.Options{Resume: true, Observe: observe}, context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := metrics(t, out); !slices.Equal(got, want) || steps != 6 {
		t.Errorf("%d steps with metrics\n%s\nwant\n%s", steps, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMeasuringTimesTheFirstStepsAndWritesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	r, err := run.Open(variants[0].config(t, tinyModel(t), out), run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	measured, err := r.Measure(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range measured.Steps {
		if m.Step != i+1 || m.Items == 0 || m.Optimizer <= 0 || m.Duration <= m.Optimizer {
			t.Errorf("step %d: %+v", i+1, m)
		}
	}
	if d, err := r.MeasureEvaluation(); err != nil || d <= 0 || len(measured.Steps) != 3 || measured.Start != 0 {
		t.Errorf("%+v, evaluation %v, %v", measured, d, err)
	}
	if f := r.Facts(); f.Steps != 6 || f.Trained == 0 || f.StateBytes < 8*int64(f.Trained) || len(f.Fingerprint) != 64 {
		t.Errorf("facts %+v", f)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("measuring made %s", out)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Measure(ended, 3); !errors.Is(err, train.ErrInterrupted) {
		t.Errorf("error %v", err)
	}
}

func TestPlanWritesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	r, err := run.Open(variants[0].config(t, tinyModel(t), out), run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	if err := r.Plan(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"model.layers.{0-1}.self_attn.q_proj", "trained values", "memory", "### Go\n           ⟦func", "adamw"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the plan lacks %q:\n%s", want, b.String())
		}
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("the plan made %s", out)
	}
}

// TestTokensThatTheModelLacksAreRefused: in the held-out data too, which no step would meet.
func TestTokensThatTheModelLacksAreRefused(t *testing.T) {
	model := tinyModel(t)
	config, err := os.ReadFile(filepath.Join(model, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	small := t.TempDir()
	for name, data := range map[string][]byte{
		"config.json": bytes.Replace(config, []byte("4096"), []byte("300"), 1), "bytes.jsonl": []byte("{\"text\": \"x\"}\n"),
	} {
		if err := os.WriteFile(filepath.Join(small, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if err := os.Symlink(filepath.Join(model, name), filepath.Join(small, name)); err != nil {
			t.Fatal(err)
		}
	}
	few := "data.train=" + filepath.Join(small, "bytes.jsonl")
	for _, sets := range [][]string{{"data.heldout=[]"}, {few}} {
		v := variant{adapter: "full", sets: []string{"model.init=random"}}
		_, err := run.Open(v.config(t, small, filepath.Join(t.TempDir(), "run"), sets...), run.Options{})
		if err == nil || !strings.Contains(err.Error(), "but the model has 300; tokenizer and model do not belong together") {
			t.Errorf("%s: error %v", sets, err)
		}
	}
	v := variant{adapter: "full", sets: []string{"model.init=random", few, "data.heldout=[]"}}
	r, err := run.Open(v.config(t, small, filepath.Join(t.TempDir(), "run")), run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func TestANonFiniteGradientStopsWithAName(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	cfg := variants[2].config(t, tinyModel(t), out, "optimizer.lr=1e30", "train.clip_grad_norm=0", "schedule.warmup=0", "schedule.name=constant", "train.save_every=1")
	err := carryOut(t, cfg, run.Options{}, context.Background())
	if err == nil || !strings.Contains(err.Error(), "step") || !strings.Contains(err.Error(), "is intact") {
		t.Errorf("found error %v, expected one that names the step and the last good checkpoint", err)
	}
}
