package run

import (
	"context"
	"time"

	"github.com/geotune/geotune/train"
)

// measurePasses is how often Measure goes over its steps. The first pass compiles programs and warms caches and does not count.
const measurePasses = 4

// Measure tells how long the first steps of a run take. It trains on their batches four times and returns, for each step, the
// fastest of the last three. Nothing is written, and the run is not to be trained afterwards. The figures mean something only while nothing
// else keeps the machine busy.
func (r *Run) Measure(ctx context.Context, steps int) ([]train.StepMetrics, error) {
	o, err := r.options()
	if err != nil {
		return nil, err
	}
	o.Steps, o.EvalEvery, o.SaveEvery, o.Patience = steps, 0, 0, 0
	fastest := make([]train.StepMetrics, steps)
	var pass int
	t := train.NewTrainer(r.task, r.opt, r.adapter.Points(), o, train.Hooks{
		Save: func(train.State) error { return nil },
		Step: func(m train.StepMetrics) error {
			if f := &fastest[m.Step-1]; pass == 1 || pass > 1 && m.Duration < f.Duration {
				*f = m
			}
			return nil
		},
	})
	start := t.State()
	for pass = range measurePasses {
		if pass > 0 {
			if err := t.Restore(start); err != nil {
				return nil, err
			}
		}
		if err := t.Run(ctx, ctx); err != nil {
			return nil, err
		}
	}
	return fastest, nil
}

// MeasureEvaluation tells how long one evaluation takes; 0 without held-out data.
func (r *Run) MeasureEvaluation() (time.Duration, error) {
	if len(r.data.heldOut) == 0 {
		return 0, nil
	}
	start := time.Now()
	_, err := r.task.Evaluate()
	return time.Since(start), err
}
