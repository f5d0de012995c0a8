package bench

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/geotune/geotune/train"
)

// TestSteadyStepAllocatesNothing carries out whole steps of llama-tiny as the trainer does. The tokens are few so that the test is quick;
// the programs are those of the whole model. On one thread not a single object may be allocated. With several, working memory grows until
// there is enough for as many loops as ever overlap, and the runtime now and then makes a record of a thread that waits: there must be
// steps without either.
func TestSteadyStepAllocatesNothing(t *testing.T) {
	cases := []struct {
		name string
		sets []string
	}{
		{"adamw", nil},
		{"riemannion", []string{"optimizer.name=riemannion"}},
		{"adamw, clipped, accumulated, checkpointed", []string{"train.clip_grad_norm=0.1", "train.accumulate=2", "train.checkpointing=true"}},
		{"riemannion with dropout", []string{"optimizer.name=riemannion", "optimizer.nesterov=true", "adapter.dropout=0.1"}},
	}
	for _, c := range cases {
		if got := allocations(t, 1, 4, c.sets...); slices.Max(got) != 0 {
			t.Errorf("%s: steps allocate %d objects, expected none", c.name, got)
		}
	}
	for _, c := range cases[:2] {
		if got := allocations(t, 2, 20, c.sets...); slices.Min(got) != 0 {
			t.Errorf("%s, 2 threads: steps allocate %d objects, expected none in some", c.name, got)
		}
	}
}

// allocations returns how many objects each of n steps allocates after some to warm up.
func allocations(t *testing.T, threads, n int, sets ...string) []uint64 {
	t.Helper()
	const warm = 3
	_, restore, err := useThreads(threads)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	s := benchSetup(t, append([]string{"train.batch=2", "data.max_length=64"}, sets...)...)
	counts := make([]uint64, 0, n)
	var m runtime.MemStats
	trainer := train.NewTrainer(s.task, s.opt, s.adapter.Points(), train.Options{
		Steps: warm + n, Accumulate: s.cfg.Train.Accumulate, LR: 1e-4, Schedule: func(int) float64 { return 1 },
	}, train.Hooks{
		Save: func(train.State) error { return nil },
		Step: func(step train.StepMetrics) error {
			before := m.Mallocs
			runtime.ReadMemStats(&m)
			if step.Step > warm {
				counts = append(counts, m.Mallocs-before)
			}
			return nil
		},
	})
	if err := trainer.Run(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	return counts
}
