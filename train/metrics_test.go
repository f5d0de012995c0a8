package train_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
)

func TestMetricsAreReadAsTheyWereWritten(t *testing.T) {
	want := train.Metrics{
		Evals: []train.EvalMetrics{
			{Step: 0, Evaluation: train.Evaluation{Loss: 3.25, Targets: 7}, Duration: time.Second},
			{Step: 2, Evaluation: train.Evaluation{Loss: 3, Targets: 7}, Best: true, Duration: 1500 * time.Millisecond},
		},
		Steps: []train.StepMetrics{
			{Step: 1, Loss: 3.1, LR: 1e-4, GradNorm: 2, Items: 40, Targets: 20, Duration: 250 * time.Millisecond, Optimizer: 10 * time.Millisecond},
			{Step: 2, Loss: 2.9, LR: 2e-4, GradNorm: 1, Items: 44, Targets: 21, Epoch: 1, Duration: 125 * time.Millisecond, Spectrum: optim.Spectrum{Ratio: 0.25, Point: "q_proj"}},
		},
	}
	for _, unit := range []string{"tokens", "images"} {
		path := filepath.Join(t.TempDir(), train.MetricsFile)
		log, err := train.OpenMetrics(path, -1, unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			log.Eval(want.Evals[0]), log.Step(want.Steps[0]), log.Step(want.Steps[1]), log.Eval(want.Evals[1]), log.Close(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		appendText(t, path, `{"step":3,"lo`) // as a killed process leaves it
		got, err := train.ReadMetrics(path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: found %+v, %v; want %+v", unit, got, err, want)
		}
	}
}

func appendText(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBrokenMetricsAreRefusedWithTheirLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), train.MetricsFile)
	for text, want := range map[string]string{
		"{\"step\":1,\"loss\":2}\nnonsense\n":    ":2: invalid character",
		"{\"step\":1}\n":                         ":1: neither loss nor eval_loss",
		"{\"step\":1.5,\"loss\":2}\n":            ":1: json: cannot unmarshal number 1.5",
		"{\"step\":\"x\",\"eval_loss\":2}\n{}\n": ":1: json: cannot unmarshal string",
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := train.ReadMetrics(path); err == nil || !strings.Contains(err.Error(), path+want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	if _, err := train.ReadMetrics(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "train: read metrics: open") {
		t.Errorf("missing file: %v", err)
	}
}

// FuzzReadMetrics checks that no file panics.
func FuzzReadMetrics(f *testing.F) {
	f.Add([]byte("{\"step\":1,\"loss\":2,\"tokens\":3}\n{\"step\":1,\"eval_loss\":2}\n"))
	f.Add([]byte("{\"loss\":null,\"eval_loss\":1e999}\n"))
	path := filepath.Join(f.TempDir(), train.MetricsFile)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := train.ReadMetrics(path)
		if lines := strings.Count(string(data), "\n"); err == nil && len(m.Steps)+len(m.Evals) != lines {
			t.Errorf("%d and %d lines of %d", len(m.Steps), len(m.Evals), lines)
		}
	})
}
