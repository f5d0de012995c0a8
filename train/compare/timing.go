package compare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// Timing is how long a step of a variant takes while nothing else runs. The mean is over the first steps of the run with the first
// seed, for each of which the fastest of three measurements counts; all variants have the same batches. Work that a rule does only every
// so many steps is left out, since one of the three is without it.
type Timing struct {
	// Config identifies the run, Machine the platform and the instruction set, Program the executable. Threads is GOMAXPROCS.
	Config  string `json:"config"`
	Machine string `json:"machine"`
	Program string `json:"program"`
	Threads int    `json:"threads"`
	Steps   int    `json:"steps"`
	// StepSeconds is the time of a step, OptimizerSeconds the part of it inside the optimizer.
	StepSeconds      float64 `json:"step_s"`
	OptimizerSeconds float64 `json:"optimizer_s"`
	// StartSeconds is the time of an initialisation from the gradient, before the first step.
	StartSeconds float64 `json:"start_s"`
}

// time measures the variants one after the other; those that were measured before, by the same program with the same config and threads on such a
// machine, are not measured again. It returns them by variant, nil where no learning rate was chosen.
func (s *sweep) time(ctx context.Context) ([]*Timing, error) {
	timings := make([]*Timing, len(s.variants))
	if s.cfg.Timing == 0 {
		return timings, nil
	}
	dir := filepath.Join(s.cfg.Out, "timing")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	for v := range s.variants {
		if s.chosen[v] < 0 {
			continue
		}
		cfg, err := s.config(job{v, s.chosen[v], 0})
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, s.variants[v].Name+".json")
		t, err := s.timeOne(ctx, cfg, path, s.variants[v].Name)
		if errors.Is(err, train.ErrInterrupted) {
			return nil, interruptedError{timing: true}
		}
		if err != nil {
			return nil, fmt.Errorf("time %s: %w", s.variants[v].Name, err)
		}
		timings[v] = t
	}
	return timings, nil
}

// timeOne returns the timing in the file at path, or measures it anew.
func (s *sweep) timeOne(ctx context.Context, cfg *train.Config, path, name string) (*Timing, error) {
	text, err := resolved(cfg)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(text))
	want := Timing{
		Config: hex.EncodeToString(sum[:]), Machine: runtime.GOOS + "/" + runtime.GOARCH + " " + cpu.Level(), Program: program(),
		Threads: runtime.GOMAXPROCS(0), Steps: s.cfg.Timing,
	}
	var t Timing
	found, err := readJSON(path, &t)
	if err != nil {
		return nil, err
	}
	if measured := t; found {
		measured.StepSeconds, measured.OptimizerSeconds, measured.StartSeconds = 0, 0, 0
		if measured == want {
			return &t, nil
		}
	}
	t = want
	if err := t.measure(ctx, cfg); err != nil {
		return nil, err
	}
	s.progress.note("timed %s alone: %s a step, %s of it in the optimizer", name, milliseconds(t.StepSeconds), milliseconds(t.OptimizerSeconds))
	return &t, writeJSON(path, &t)
}

// program identifies the executable: a new build may be faster.
var program = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close() // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
})

// measure fills in the times.
func (t *Timing) measure(ctx context.Context, cfg *train.Config) error {
	r, err := run.Open(cfg, run.Options{})
	if err != nil {
		return err
	}
	defer r.Close() // read only
	measured, err := r.Measure(ctx, t.Steps)
	if err != nil {
		return err
	}
	t.StartSeconds = measured.Start.Seconds()
	for _, m := range measured.Steps {
		t.StepSeconds += m.Duration.Seconds() / float64(t.Steps)
		t.OptimizerSeconds += m.Optimizer.Seconds() / float64(t.Steps)
	}
	return nil
}

// milliseconds prints a time in seconds with three digits.
func milliseconds(s float64) string {
	switch ms := 1000 * s; {
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.2f ms", ms)
	}
}
