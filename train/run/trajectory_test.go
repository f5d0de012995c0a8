package run_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// trajectory is the case.json of a recorded training run.
type trajectory struct {
	Base      string
	Steps     int
	Clip      *float64 `json:"clip_grad_norm"`
	Optimizer struct {
		Type        string
		LR          float64
		Betas       []float64
		Eps         float64
		WeightDecay float64 `json:"weight_decay"`
	}
	Schedule *struct {
		Name   string
		Warmup int
	}
	Losses, LRs []float64
}

// config writes the run of the case as a user would.
func (c trajectory) config(dir, out string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "model: {path: %q}\ndata: {tensors: %q}\nout: %q\n", filepath.Join(dir, c.Base), filepath.Join(dir, "inputs.safetensors"), out)
	if _, err := os.Stat(filepath.Join(dir, "adapter")); err == nil {
		fmt.Fprintf(&b, "adapter: {from: %q}\n", filepath.Join(dir, "adapter"))
	} else {
		b.WriteString("adapter: {type: full}\n")
	}
	rule := "name: sgd, momentum: 0.9"
	if strings.HasSuffix(c.Optimizer.Type, "AdamW") {
		rule = fmt.Sprintf("name: adamw, betas: [%g, %g], eps: %g", c.Optimizer.Betas[0], c.Optimizer.Betas[1], c.Optimizer.Eps)
	}
	fmt.Fprintf(&b, "optimizer: {%s, lr: %g, weight_decay: %g}\n", rule, c.Optimizer.LR, c.Optimizer.WeightDecay)
	if c.Schedule != nil {
		fmt.Fprintf(&b, "schedule: {name: %s, warmup: %d}\n", c.Schedule.Name, c.Schedule.Warmup)
	}
	clip := 0.0
	if c.Clip != nil {
		clip = *c.Clip
	}
	fmt.Fprintf(&b, "train: {steps: %d, clip_grad_norm: %g}\n", c.Steps, clip)
	return b.String()
}

// TestTrajectoriesAgreeStepByStep repeats the recorded runs of PyTorch with PEFT from a config file: loss, gradient norm and learning
// rate of every step, and the trained values.
func TestTrajectoriesAgreeStepByStep(t *testing.T) {
	for _, pattern := range []string{"traj_llama_*", "traj_gpt2_*"} {
		for _, dir := range goldens.Match(t, pattern) {
			t.Run(filepath.Base(dir), func(t *testing.T) { checkTrajectory(t, dir) })
		}
	}
}

func checkTrajectory(t *testing.T, dir string) {
	var c trajectory
	data, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "run")
	cfg, err := train.ParseConfig("case.yaml", []byte(c.config(dir, out)), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := run.Open(cfg, run.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Train(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	expected, err := safetensors.Open(filepath.Join(dir, "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer expected.Close()
	norms, err := expected.Float32("grad_norm")
	if err != nil {
		t.Fatal(err)
	}
	steps := readMetrics(t, filepath.Join(out, train.MetricsFile))
	if len(steps) != c.Steps {
		t.Fatalf("found %d steps, expected %d", len(steps), c.Steps)
	}
	for i, s := range steps {
		closeTo(t, fmt.Sprintf("loss of step %d", i+1), s.Loss, c.Losses[i], 1e-5)
		closeTo(t, fmt.Sprintf("gradient norm of step %d", i+1), s.GradNorm, float64(norms[i]), 1e-4)
		closeTo(t, fmt.Sprintf("learning rate of step %d", i+1), s.LR, c.LRs[i], 1e-12)
	}
	name := "adapter/adapter_model.safetensors"
	if cfg.Adapter.Type == "full" {
		name = "model/model.safetensors"
	}
	compareFiles(t, filepath.Join(out, name), filepath.Join(dir, "final.safetensors"), 2e-4)
}

type metricsLine struct {
	Step     int
	Loss     float64
	LR       float64
	GradNorm float64 `json:"grad_norm"`

	SigmaRatio float64 `json:"sigma_ratio_min"`
	SigmaLayer string  `json:"sigma_ratio_layer"`
}

func readMetrics(t *testing.T, path string) []metricsLine {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []metricsLine
	for s := bufio.NewScanner(f); s.Scan(); {
		var l metricsLine
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

func closeTo(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if math.Abs(got-want) > tol*math.Abs(want) {
		t.Errorf("%s: found %.9g, expected %.9g", what, got, want)
	}
}

// compareFiles compares the tensors of want with those of got in relative Frobenius norm.
func compareFiles(t *testing.T, got, want string, tol float64) {
	t.Helper()
	a, err := safetensors.Open(got)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := safetensors.Open(want)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, name := range b.Names() {
		x, err := a.Float32(name)
		if err != nil {
			t.Error(err)
			continue
		}
		y, err := b.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		var diff, norm float64
		for i := range y {
			if seesNothing(name, i, len(y)) {
				continue
			}
			diff += float64(x[i]-y[i]) * float64(x[i]-y[i])
			norm += float64(y[i]) * float64(y[i])
		}
		if math.Sqrt(diff) > tol*math.Sqrt(norm) {
			t.Errorf("%s: relative difference %.2g, expected at most %.2g", name, math.Sqrt(diff/norm), tol)
		}
	}
}

// seesNothing reports whether element i belongs to the keys' third of GPT-2's fused bias: softmax ignores what is added to all keys, so
// its gradient is rounding noise, which Adam scales up to whole steps.
func seesNothing(name string, i, n int) bool {
	return strings.HasSuffix(name, "attn.c_attn.bias") && i >= n/3 && i < 2*n/3
}
