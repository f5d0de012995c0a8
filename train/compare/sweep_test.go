package compare

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/geotune/geotune/train"
)

// carryOut runs the comparison small to its end or to the end of finish.
func carryOut(t *testing.T, finish context.Context, o Options, sets ...string) (*Results, error) {
	t.Helper()
	return mustParse(t, small, sets...).Run(finish, context.Background(), o)
}

// lines calls each for every line that is written.
type lines func(line string)

func (f lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		f(line)
	}
	return len(p), nil
}

// clockless returns results without what the clock says.
func clockless(r *Results) Results {
	c := *r
	c.Setup.Title = ""
	c.Variants = append([]Row(nil), r.Variants...)
	for i := range c.Variants {
		c.Variants[i].StepSeconds, c.Variants[i].OptimizerShare, c.Variants[i].SecondsToBaseline = nil, nil, nil
	}
	return c
}

// TestAnInterruptedComparisonContinues ends a comparison after each of its first runs, once in the middle of runs side by side, and
// continues: the results are those of an uninterrupted one, and no finished run is done again.
func TestAnInterruptedComparisonContinues(t *testing.T) {
	whole, err := carryOut(t, t.Context(), Options{}, "out="+filepath.Join(t.TempDir(), "whole"))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "pieces")
	done := map[string]int{}
	for piece := 0; ; piece++ {
		finish, cancel := context.WithCancel(t.Context())
		log := lines(func(line string) {
			if _, rest, ok := strings.Cut(line, "  "); ok && strings.HasPrefix(line, "run ") {
				name, _, _ := strings.Cut(rest, ":")
				done[name]++
				cancel()
			}
		})
		r, err := carryOut(t, finish, Options{Log: log}, "out="+out, "parallel=2")
		cancel()
		if err == nil {
			if !reflect.DeepEqual(clockless(r), clockless(whole)) {
				t.Errorf("found %+v\nwant %+v", clockless(r), clockless(whole))
			}
			break
		}
		if !errors.Is(err, train.ErrInterrupted) || !strings.Contains(err.Error(), "the same command continues") {
			t.Fatal(err)
		}
		if piece > 10 {
			t.Fatal("no progress")
		}
	}
	for _, o := range whole.Runs {
		name := o.Variant + " lr " + rateText(o.LR) + " seed " + string('0'+rune(o.Seed))
		if done[name] != 1 {
			t.Errorf("%s ended %d times", name, done[name])
		}
	}
}

func TestRunsAreOrdinaryOnesWithResultsBesideThem(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var log bytes.Buffer
	r, err := carryOut(t, t.Context(), Options{Log: &log}, "out="+out)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"compare.yaml", "timing/adamw.json", "runs/adamw/lr-0.001/seed-1/adapter/adapter_config.json", "runs/sgd/lr-0.1/seed-2/metrics.jsonl",
		"runs/sgd/lr-0.1/seed-2/config.yaml", "runs/sgd/lr-0.1/seed-2/outcome.json",
	} {
		if _, err := os.Stat(filepath.Join(out, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
	if text := log.String(); strings.Count(text, "\nrun ")+1 != 5 || strings.Contains(text, "\x1b") || !strings.Contains(text, "timed sgd alone") {
		t.Errorf("log:\n%s", text)
	}
	for _, v := range r.Variants {
		if v.Best == nil || v.Best.N != 2 || len(v.Curve) != 3 || *v.StepSeconds <= 0 || *v.OptimizerShare <= 0 || *v.OptimizerShare >= 1 {
			t.Errorf("%+v", v)
		}
	}
	if r.Setup.Steps != 4 || r.Setup.TokensPerStep < 10 || r.Setup.StartLoss < 1 {
		t.Errorf("setup %+v", r.Setup)
	}
}

func TestRunsOfAnotherConfigAreRefusedOrDoneAgain(t *testing.T) {
	out := "out=" + filepath.Join(t.TempDir(), "out")
	quick := []string{out, "seeds=[1]", "tune.seeds=0", "timing=0", "lr=[1e-3]", "variants=[{name: a}, {name: b, set: {optimizer.name: sgd}}]"}
	before, err := carryOut(t, t.Context(), Options{}, quick...)
	if err != nil {
		t.Fatal(err)
	}
	changed := append(quick, "variants=[{name: a}, {name: b, set: {optimizer.name: sgd, optimizer.momentum: 0.25}}]")
	_, err = carryOut(t, t.Context(), Options{}, changed...)
	if err == nil || !strings.Contains(err.Error(), filepath.Join("b", "lr-0.001", "seed-1")) ||
		!strings.Contains(err.Error(), "there optimizer.momentum=0.9, here optimizer.momentum=0.25") || !strings.Contains(err.Error(), "--rerun") {
		t.Fatalf("error %v", err)
	}
	ran := 0
	after, err := carryOut(t, t.Context(), Options{Rerun: true, Log: lines(func(string) { ran++ })}, changed...)
	if err != nil {
		t.Fatal(err)
	}
	a, b := before.Runs, after.Runs
	if ran != 1 || !reflect.DeepEqual(a[0], b[0]) || reflect.DeepEqual(a[1].Evals, b[1].Evals) {
		t.Errorf("%d runs again; found %+v %+v, before %+v %+v", ran, b[0], b[1], a[0], a[1])
	}
}

func TestADivergedRunIsAResult(t *testing.T) {
	sets := []string{"out=" + filepath.Join(t.TempDir(), "out"), "seeds=[1]", "tune.seeds=0", "variants=[{name: a, lr: [1e-3, 1e20]}, {name: b, lr: [1e30]}]"}
	for range 2 { // the second time from what is stored
		r, err := carryOut(t, t.Context(), Options{}, sets...)
		if err != nil {
			t.Fatal(err)
		}
		a, b := r.Variants[0], r.Variants[1]
		if a.Name != "a" || a.LR != 1e-3 || a.Rates[1].Diverged != 1 || b.LR != 0 || b.Rates[0].DivergedAt < 1 || b.Rates[0].DivergedAt > 4 {
			t.Errorf("found %+v\n%+v", a, b)
		}
		if reason := r.Runs[2].Reason; !r.Runs[2].Diverged || !strings.Contains(reason, "step ") {
			t.Errorf("reason %q", reason)
		}
		if err := r.WriteHTML(io.Discard); err != nil {
			t.Error(err)
		}
	}
}

// TestInitialisationsAreVariantsToo compares the default start with one from the gradient, whose time counts and whose warnings are shown.
func TestInitialisationsAreVariantsToo(t *testing.T) {
	var log bytes.Buffer
	r, err := carryOut(t, t.Context(), Options{Log: &log}, "out="+filepath.Join(t.TempDir(), "out"), "seeds=[1]", "tune.seeds=0", "lr=[0.05]",
		"set.optimizer={name: riemannion}", "variants=[{name: zero}, {name: loi, set: {adapter.init.name: loi}}]", "baseline=zero")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Variants {
		if started := v.StartSeconds > 0; started != (v.Name == "loi") {
			t.Errorf("%s took %v s to start", v.Name, v.StartSeconds)
		}
		if v.SecondsToBaseline != nil && math.Abs(*v.SecondsToBaseline-v.StartSeconds-v.ToBaseline.Mean**v.StepSeconds) > 1e-9 {
			t.Errorf("%+v", v)
		}
	}
	if text := log.String(); strings.Count(text, "warning: loi lr 0.05: the first 10 steps are") != 1 {
		t.Errorf("log:\n%s", text)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "loi starts from the gradient, which takes") {
		t.Errorf("notes:\n%s", notes)
	}
}

func TestAFailingVariantEndsTheComparison(t *testing.T) {
	_, err := carryOut(t, t.Context(), Options{}, "out="+filepath.Join(t.TempDir(), "out"), "variants=[{name: a}, {name: b, set: {adapter.targets: [nowhere]}}]")
	if err == nil || errors.Is(err, train.ErrInterrupted) || !strings.HasPrefix(err.Error(), "b lr 0.001 seed 1: ") || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
}

func TestOtherDataAreRefused(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data.jsonl")
	sets := []string{"out=" + filepath.Join(dir, "out"), "timing=0", "seeds=[1]", "tune.seeds=0", "lr=[1e-3]", "set.data.train=" + data, "variants=[{name: a}, {name: b}]"}
	for i, text := range []string{`{"text": "func Len() int"}`, `{"text": "func Cap() int"}`} {
		if err := os.WriteFile(data, []byte(text+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := os.RemoveAll(filepath.Join(dir, "out", "runs", "b")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := carryOut(t, t.Context(), Options{}, sets...)
		if refused := err != nil && strings.Contains(err.Error(), "b lr 0.001 seed 1 has other data"); i == 0 && err != nil || i == 1 && !refused {
			t.Errorf("error %v", err)
		}
	}
}

func TestTheDryRunWritesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var b bytes.Buffer
	if err := mustParse(t, small, "out="+out).Describe(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "runs       3 to choose learning rates with seed 1, then 2 with seed 2; 4 steps each") {
		t.Errorf("plan:\n%s", b.String())
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("%s: %v", out, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := mustParse(t, small, "out="+out).Describe(ended, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
