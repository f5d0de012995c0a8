package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// estimateSteps is how many steps an estimate measures.
const estimateSteps = 3

// Describe writes what the comparison would do: its variants, how many runs, and about how long they take, for which the baseline
// trains a few steps. It writes no file.
func (p *Plan) Describe(ctx context.Context, w io.Writer) (err error) {
	j := job{variant: p.baseline}
	cfg, err := p.config(j)
	if err != nil {
		return err
	}
	r, err := run.Open(cfg, run.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	facts := r.Facts()
	perRun, err := p.estimate(ctx, r, facts.Steps)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	p.describePlan(w, facts.Steps, perRun)
	return nil
}

// describePlan writes the plan for runs of so many steps and so long.
func (p *Plan) describePlan(w io.Writer, steps int, perRun time.Duration) {
	fmt.Fprintf(w, "model      %s\n", p.base.Model.Path)
	for i, v := range p.variants {
		name, mark := v.Name, ""
		if i == p.baseline {
			mark = " (baseline)"
		}
		label := ""
		if i == 0 {
			label = "variants"
		}
		fmt.Fprintf(w, "%-10s %s%s: lr", label, name, mark)
		for _, lr := range v.rates {
			fmt.Fprintf(w, " %s", rateText(lr))
		}
		for _, s := range flatten("", v.Set) {
			fmt.Fprintf(w, ", %s", s)
		}
		fmt.Fprintln(w)
	}
	tuning, more := p.counts()
	fmt.Fprintf(w, "runs       %d to choose learning rates with %s", tuning, seedsText(p.seeds[:p.tuning]))
	if more > 0 {
		fmt.Fprintf(w, ", then %d with %s", more, seedsText(p.seeds[p.tuning:]))
	}
	fmt.Fprintf(w, "; %d steps each, %d side by side\n", steps, p.parallel())
	fmt.Fprintf(w, "time       about %s on this machine: %s a run, as the baseline takes, times %d\n",
		train.Short(time.Duration(tuning+more)*perRun), train.Short(perRun), tuning+more)
	fmt.Fprintf(w, "out        %s\n", p.cfg.Out)
}

// estimate returns how long a run takes alone. Runs side by side share the cores, so that together they take about as long as one
// after the other.
func (p *Plan) estimate(ctx context.Context, r *run.Run, steps int) (time.Duration, error) {
	measured, err := r.Measure(ctx, estimateSteps)
	if err != nil {
		return 0, err
	}
	var step time.Duration
	for _, m := range measured.Steps {
		step += m.Duration / estimateSteps
	}
	eval, err := r.MeasureEvaluation()
	if err != nil {
		return 0, err
	}
	evals := 1 + (steps+p.base.Train.EvalEvery-1)/p.base.Train.EvalEvery
	return measured.Start + time.Duration(steps)*step + time.Duration(evals)*eval, nil
}
