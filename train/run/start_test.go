package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// losses returns the held-out losses of a run and the loss of its first step.
func losses(t *testing.T, out string) (heldOut []float64, first float64) {
	t.Helper()
	for _, line := range metrics(t, out) {
		var m struct {
			Step int
			Loss *float64 `json:"loss"`
			Eval *float64 `json:"eval_loss"`
		}
		if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(line), "}")+"}"), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if m.Eval != nil {
			heldOut = append(heldOut, *m.Eval)
		} else if m.Step == 1 {
			first = *m.Loss
		}
	}
	return heldOut, first
}

// near checks a loss up to float32 rounding.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 2e-6*want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestAStartFromTheGradientChangesNothingButTheStart: before the first step the model is the base, the first step sees the batch that it
// would have seen anyway, and the saved adapter is the trained function: on the base as it is with twice the rank, or on the base that the
// run wrote beside it.
func TestAStartFromTheGradientChangesNothingButTheStart(t *testing.T) {
	model := tinyModel(t)
	plain := filepath.Join(t.TempDir(), "plain")
	v := variant{adapter: "lora, rank: 2"}
	if err := carryOut(t, v.config(t, model, plain), run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	base, firstStep := losses(t, plain)
	for _, c := range []struct {
		adapter string
		rank    int
	}{
		{"lora, rank: 2, init: {name: loi, scale: 1}", 4},
		{"lora, rank: 2, use_rslora: true, init: {name: lora_ga, batches: 3}", 4},
		{"lora, rank: 2, init: {name: loi, scale: 1, base: modified}", 2},
		{"lora, rank: 2, init: {name: stiefel_both, scale: 1}", 4},
		{"lora, rank: 2, init: {name: milora}", 4},
	} {
		t.Run(c.adapter, func(t *testing.T) {
			v := variant{adapter: c.adapter, sets: riemannion}
			dir := t.TempDir()
			out := filepath.Join(dir, "run")
			if err := carryOut(t, v.config(t, model, out), run.Options{}, context.Background()); err != nil {
				t.Fatal(err)
			}
			heldOut, first := losses(t, out)
			near(t, "held-out loss at the start", heldOut[0], base[0])
			near(t, "loss of the first batch", first, firstStep)
			if heldOut[len(heldOut)-1] >= heldOut[0] {
				t.Errorf("nothing was learnt: held-out losses %v", heldOut)
			}

			f, err := formats.Read(filepath.Join(out, "adapter"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Settings.(*formats.LoRA).Rank; got != c.rank {
				t.Errorf("saved with rank %d, want %d", got, c.rank)
			}
			if report, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || !strings.Contains(string(report), "fuse --model "+f.Header.Base) {
				t.Errorf("the report names another base model than the adapter, %s: %v\n%s", f.Header.Base, err, report)
			}
			// An ordinary run goes on from there.
			again := filepath.Join(dir, "again")
			next := variant{adapter: fmt.Sprintf("lora, from: %q", filepath.Join(out, "adapter"))}
			if err := carryOut(t, next.config(t, f.Header.Base, again, "train.steps=1"), run.Options{}, context.Background()); err != nil {
				t.Fatal(err)
			}
			continued, _ := losses(t, again)
			near(t, "held-out loss of the saved adapter", continued[0], heldOut[len(heldOut)-1])
		})
	}
}

// TestARunTellsHowItStarted reads what it wrote and logged, also after it was interrupted and continued.
func TestARunTellsHowItStarted(t *testing.T) {
	model, out := tinyModel(t), filepath.Join(t.TempDir(), "run")
	v := fromGradient
	var log bytes.Buffer
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := carryOut(t, v.config(t, model, out), run.Options{Log: &log}, ended); !errors.Is(err, train.ErrInterrupted) {
		t.Fatalf("found error %v", err)
	}
	for _, want := range []string{"init loi: 4 passes over 2 micro-batches", "captured", "model.layers.1.mlp.down_proj", "tangent spaces"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
	var found struct {
		adapters.Start
		Batches, Targets int
		Seconds          float64
	}
	data, err := os.ReadFile(filepath.Join(out, "init.json"))
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	if err != nil {
		t.Fatal(err)
	}
	if found.Init != "loi" || found.Passes != 4 || found.Batches != 2 || found.Targets < 1 || found.Seconds <= 0 || len(found.Layers) != 14 {
		t.Errorf("init.json holds %+v", found)
	}
	for _, l := range found.Layers {
		if !(l.Captured > 0 && l.Captured <= 1 && l.Norm > 0 && l.Largest <= 1.01*l.Norm && math.Abs(l.Captured+l.Residual*l.Residual-1) < 1e-6) {
			t.Errorf("init.json: %+v", l)
		}
	}

	log.Reset()
	if err := carryOut(t, v.config(t, model, out), run.Options{Resume: true, Log: &log}, context.Background()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "passes over") {
		t.Errorf("the resumed run started again:\n%s", log.String())
	}
	report, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil || !strings.Contains(string(report), "## Start\n\ninit loi: 4 passes over 2 micro-batches") {
		t.Errorf("report.md, %v:\n%s", err, report)
	}
}

// TestWeightsAreDecomposedOnceARun: not by a dry run, and not by one that goes on.
func TestWeightsAreDecomposedOnceARun(t *testing.T) {
	model := tinyModel(t)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, adapter := range []string{"lora, rank: 2, init: {name: milora}", "lora, rank: 2, init: {name: pissa}", "dora, rank: 2, init: {name: olora}"} {
		out := filepath.Join(t.TempDir(), "run")
		var log bytes.Buffer
		decomposed := func(what string, want bool) {
			if found := strings.Contains(log.String(), "decomposing the weights"); found != want {
				t.Errorf("%s, %s: weights decomposed %v, want %v:\n%s", adapter, what, found, want, log.String())
			}
			log.Reset()
		}
		cfg := variant{adapter: adapter}.config(t, model, out)
		r, err := run.Open(cfg, run.Options{Log: &log})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Plan(io.Discard); err != nil {
			t.Fatal(err)
		}
		decomposed("dry run", false)
		if err := r.Train(ended, ended); !errors.Is(err, train.ErrInterrupted) { // before the first weight
			t.Fatalf("found error %v", err)
		}
		r.Close()
		log.Reset()
		if err := carryOut(t, cfg, run.Options{Log: &log, Resume: true}, ended); !errors.Is(err, train.ErrInterrupted) {
			t.Fatalf("found error %v", err)
		}
		decomposed("first step", true)
		if err := carryOut(t, cfg, run.Options{Log: &log, Resume: true}, context.Background()); err != nil {
			t.Fatal(err)
		}
		decomposed("resumed", false)
	}
}

// TestLongFirstStepsAreWarnedOf: only while they are long compared with the start.
func TestLongFirstStepsAreWarnedOf(t *testing.T) {
	model := tinyModel(t)
	for _, c := range []struct {
		sets []string
		warn bool
	}{
		{nil, true},
		{[]string{"schedule.warmup=5000"}, false},
		{[]string{"optimizer.lr=1e-4"}, false},
		{[]string{"adapter.init.scale=-1"}, false},
		{[]string{"optimizer.name=adamw"}, false}, // its steps have no length of their own
	} {
		var log bytes.Buffer
		v := variant{adapter: "lora, rank: 2, init: {name: loi}", sets: append([]string{"train.steps=20", "schedule.warmup=0"}, riemannion...)}
		cfg := v.config(t, model, filepath.Join(t.TempDir(), "run"), c.sets...)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := carryOut(t, cfg, run.Options{Log: &log}, ended); !errors.Is(err, train.ErrInterrupted) {
			t.Fatalf("found error %v", err)
		}
		if got := strings.Contains(log.String(), "warning: the first 10 steps are up to 0.01 long"); got != c.warn {
			t.Errorf("%v: warned %v, want %v:\n%s", c.sets, got, c.warn, log.String())
		}
	}
}

// TestPlanTellsHowTheAdapterStarts without starting it.
func TestPlanTellsHowTheAdapterStarts(t *testing.T) {
	model := tinyModel(t)
	for adapter, want := range map[string]string{
		"lora": "",
		"lora, rank: 2, init: {name: loi, power: 0}":          "init       loi: the gradient of the base model in 2 passes over 2 micro-batches; the weights stay as they are, and the adapter is saved with twice the rank\n",
		"lora, rank: 2, init: {name: lora_one}":               "init       lora_one: the gradient of the base model in 4 passes over 2 micro-batches\n",
		"lora, rank: 2, init: {name: pissa}":                  "init       pissa: the start is taken out of the weights, as PEFT does on loading the adapter\n",
		"dora, rank: 2, init: {name: milora, base: modified}": "init       milora: the adapter is saved for a modified base model, written to ",
	} {
		out := filepath.Join(t.TempDir(), "run")
		r, err := run.Open(variant{adapter: adapter}.config(t, model, out), run.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.Plan(&b); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if want == "" && strings.Contains(b.String(), "\ninit ") || !strings.Contains(b.String(), want) {
			t.Errorf("%s: the plan lacks %q:\n%s", adapter, want, b.String())
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("the plan made %s", out)
		}
	}
}

// TestAStartNeedsAModelWideEnough: the rank is refused before anything runs, with the layer and the remedy.
func TestAStartNeedsAModelWideEnough(t *testing.T) {
	v := variant{adapter: "lora, rank: 9, init: {name: loi}"}
	_, err := run.Open(v.config(t, tinyModel(t), filepath.Join(t.TempDir(), "run")), run.Options{})
	if err == nil || !strings.Contains(err.Error(), "model.layers.0.self_attn.k_proj: init loi with rank 9, but the weight is 16×32; choose a rank of at most 8") {
		t.Errorf("found error %v", err)
	}
}

// TestAnInterruptEndsTheStartFromTheGradient stops a run in the passes before its first step. It goes on as if nothing had been.
func TestAnInterruptEndsTheStartFromTheGradient(t *testing.T) {
	model, out, whole := tinyModel(t), filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "whole")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := run.Open(fromGradient.config(t, model, out), run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Train(ended, ended); !errors.Is(err, train.ErrInterrupted) {
		t.Fatalf("found error %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "init.json")); err == nil {
		t.Error("the passes went on to their end")
	}
	if err := carryOut(t, fromGradient.config(t, model, out), run.Options{Resume: true}, context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := carryOut(t, fromGradient.config(t, model, whole), run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(result(t, out), result(t, whole)) {
		t.Error("the adapter differs from that of a run that was not stopped")
	}
}
