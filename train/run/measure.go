package run

import (
	"context"
	"time"

	"github.com/geotune/geotune/train"
)

// measurePasses is how often Measure goes over its steps. The first pass compiles programs and warms caches and does not count.
const measurePasses = 4

// Measured is what Measure found.
type Measured struct {
	// Start is the time of an initialisation that needs the gradient, 0 for others.
	Start time.Duration
	// Steps are the fastest measurements of each step.
	Steps []train.StepMetrics
}

// Measure tells how long the first steps of a run take. It trains on their batches four times; of the last three, the fastest counts
// for each step. Nothing is written, and the run is not to be trained afterwards. The figures mean something only while nothing else
// keeps the machine busy.
func (r *Run) Measure(ctx context.Context, steps int) (*Measured, error) {
	o, err := r.options()
	if err != nil {
		return nil, err
	}
	if err := r.initialise(ctx); err != nil {
		return nil, err
	}
	measured := &Measured{Steps: make([]train.StepMetrics, steps)}
	if r.begun != nil {
		measured.Start = time.Duration(r.begun.Seconds * float64(time.Second))
	}
	o.Steps, o.EvalEvery, o.SpectrumEvery, o.SaveEvery, o.Patience = steps, 0, 0, 0, 0
	var pass int
	t := train.NewTrainer(r.task, r.opt, r.adapter.Points(), o, train.Hooks{
		Save: func(train.State) error { return nil },
		Step: func(m train.StepMetrics) error {
			if f := &measured.Steps[m.Step-1]; pass == 1 || pass > 1 && m.Duration < f.Duration {
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
	return measured, nil
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
