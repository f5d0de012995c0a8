package bench

import (
	"testing"

	"github.com/geotune/geotune/train"
)

// benchSetup is the step of llama-tiny with the given rule.
func benchSetup(tb testing.TB, sets ...string) *setup {
	tb.Helper()
	s, err := newSetup(StepOptions{Preset: "llama-tiny", Adapter: LoRA, DType: "float32", Steps: 1, Sets: sets}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// accumulate computes the gradients of a batch.
func (s *setup) accumulate(tb testing.TB) {
	if _, err := s.task.Accumulate(s.task.Next(), train.Moment{}, 1e-3); err != nil {
		tb.Fatal(err)
	}
}

// move takes the optimizer's step.
func (s *setup) move(tb testing.TB) {
	if _, err := s.opt.Step(1e-4); err != nil {
		tb.Fatal(err)
	}
}

func (s *setup) reportTokens(b *testing.B) {
	tokens := s.cfg.Train.Batch * s.cfg.Data.MaxLength
	b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkStep(b *testing.B) {
	s := benchSetup(b)
	for b.Loop() {
		s.accumulate(b)
		s.move(b)
	}
	s.reportTokens(b)
}

func BenchmarkForwardBackward(b *testing.B) {
	s := benchSetup(b)
	for b.Loop() {
		s.accumulate(b)
	}
	s.reportTokens(b)
}

func BenchmarkOptimizer(b *testing.B) {
	for _, rule := range []string{"adamw", "riemannion"} {
		b.Run(rule, func(b *testing.B) {
			s := benchSetup(b, "optimizer.name="+rule)
			s.accumulate(b)
			for b.Loop() {
				s.move(b)
			}
		})
	}
}
