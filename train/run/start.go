package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/text"
)

// begun is what a run's folder keeps in startFile of how the adapter started.
type begun struct {
	*adapters.Start
	Batches int     `json:"batches"`
	Targets int     `json:"targets"`
	Seconds float64 `json:"seconds"`
}

// start makes the adapter ready for its first step, or for the next one in a run that goes on. When stop ends in the passes through the
// data, it gives train.ErrInterrupted.
func (r *Run) start(stop context.Context, resumed bool) error {
	begin := func() error { return r.initialise(stop) }
	steps := []func() error{begin, r.writeBegun, r.checkFirstSteps, r.saveBase}
	if resumed {
		steps = []func() error{r.readBegun, r.keepBase}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// initialise carries out what is left of the adapter's initialisation.
func (r *Run) initialise(stop context.Context) error {
	var from func(context.Context) error
	switch {
	case r.adapter.NeedsWeights():
		from = r.fromWeights
	case r.adapter.NeedsGradient():
		from = r.fromGradient
	default:
		return nil
	}
	if err := from(stop); err != nil {
		return err
	}
	return r.optimizer() // rules take their start from the factors
}

// fromWeights carries out an initialisation that takes the weights alone.
func (r *Run) fromWeights(stop context.Context) error {
	fmt.Fprintf(r.o.Log, "init %s: decomposing the weights\n", r.adapter.Config().Init.Name)
	err := r.adapter.StartFromWeights(stop)
	if err != nil && errors.Is(err, stop.Err()) {
		return train.ErrInterrupted
	}
	return err
}

// fromGradient carries out an initialisation that needs the gradient, on the first batches of the training data, and tells what it found.
// The run's own place in the data does not move.
func (r *Run) fromGradient(stop context.Context) error {
	init := r.adapter.Config().Init
	fmt.Fprintf(r.o.Log, "init %s: gradient of the base model in %d passes over one batch\n", init.Name, init.Passes())
	began := time.Now()
	batches, targets, err := r.firstBatches()
	if err != nil {
		return err
	}
	found, err := r.adapter.StartFromGradient(func(probes []*adapters.Trainable) (adapters.Pass, error) {
		task := text.NewTask(r.model, probes, nil, text.TaskOptions{Checkpoint: r.cfg.Train.Checkpointing})
		return func() error {
			for _, b := range batches {
				if stop.Err() != nil {
					return train.ErrInterrupted
				}
				if _, err := task.Accumulate(b, train.Moment{}, 1/float32(targets)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
	if errors.Is(err, train.ErrInterrupted) {
		return train.ErrInterrupted
	}
	if err != nil {
		return err
	}
	r.begun = &begun{found, len(batches), targets, time.Since(began).Seconds()}
	fmt.Fprint(r.o.Log, r.begun.String())
	return nil
}

// startBatches returns how many micro-batches make up the batch of the start: those of one optimizer step by default, at most one epoch.
func (r *Run) startBatches() int {
	return min(cmp.Or(r.adapter.Config().Init.Batches, r.cfg.Train.Accumulate), r.data.perEpoch)
}

// firstBatches returns the micro-batches of the start and their targets.
func (r *Run) firstBatches() (batches []*text.Batch, targets int, err error) {
	n := r.startBatches()
	cfg := *r.cfg
	cfg.Train.Accumulate = n // all of them are in use at once
	source, err := r.data.source(&cfg)
	if err != nil {
		return nil, 0, err
	}
	for range n {
		b := source.Next()
		batches, targets = append(batches, b), targets+b.Targets()
	}
	if targets == 0 {
		return nil, 0, fmt.Errorf("run: init: the first %d micro-batches have no targets; set adapter.init.batches higher", len(batches))
	}
	return batches, targets, nil
}

func (r *Run) writeBegun() error {
	if r.begun == nil {
		return nil
	}
	text, err := json.MarshalIndent(r.begun, "", "  ")
	if err != nil {
		return fmt.Errorf("run: %s: %w", r.out(startFile), err)
	}
	return atomicfile.WriteBytes(r.out(startFile), append(text, '\n'))
}

// readBegun brings back, for the report, what the run found when it began.
func (r *Run) readBegun() error {
	if cfg := r.adapter.Config(); cfg.From != "" || !cfg.Init.FromGradient() {
		return nil // a file that is there belongs to another run
	}
	text, err := os.ReadFile(r.out(startFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	r.begun = new(begun)
	if err := json.Unmarshal(text, r.begun); err != nil {
		return fmt.Errorf("run: %s: %w", r.out(startFile), err)
	}
	return nil
}

// keepBase makes sure that a run that goes on has its base model.
func (r *Run) keepBase() error {
	if _, err := os.Stat(r.out(baseDir)); err == nil { // it appeared whole
		return nil
	}
	return r.saveBase()
}

// saveBase writes the base model that the saved adapter belongs to, where that is not the run's own.
func (r *Run) saveBase() error {
	if !r.adapter.BelongsToModifiedBase() {
		return nil
	}
	report, err := r.adapter.SaveBase(func() error { return r.model.Save(r.out(baseDir)) })
	if err != nil {
		return err
	}
	lost := 0.0
	for _, f := range report.Changed {
		lost = max(lost, f.Lost)
	}
	fmt.Fprintf(r.o.Log, "base model of the adapter written to %s; rounding loses at most %.2g %% of a layer's X0\n", r.out(baseDir), 100*lost)
	return nil
}

// firstSteps are those within which the learning rate may not yet be large.
const firstSteps = 10

// checkFirstSteps warns of steps that are too long for the start. Steps of a length near that of X0's singular values throw X0 away: of the
// 2r directions that the start makes available to the first steps, r are lost (arXiv 2507.12142, locally optimal initialisation).
func (r *Run) checkFirstSteps() error {
	rule, ok := r.cfg.Optimizer.Rule.(optim.StepLengther)
	init := r.adapter.Config().Init
	if !ok || init.Scale == 0 {
		return nil
	}
	o, err := r.options()
	if err != nil {
		return err
	}
	peak := 0.0
	for step := range min(firstSteps, r.steps) {
		peak = max(peak, o.Schedule(step))
	}
	worst, sigma := 0.0, 0.0 // longest step at the full learning rate, relative to the singular values
	for _, p := range r.adapter.Points() {
		x, ok := p.(*optim.LowRank)
		if !ok {
			continue
		}
		s := init.Sigma(x.A().Value.Shape[0])
		if ratio := rule.StepLength(x, r.cfg.Optimizer.LR) / s; ratio > worst {
			worst, sigma = ratio, s
		}
	}
	if worst*peak <= 0.1 {
		return nil
	}
	fmt.Fprintf(r.o.Log, "warning: the first %d steps are up to %.2g long, more than a tenth of the singular values %.2g that init %s starts with; they lose half of the directions it has chosen. "+
		"Set schedule.warmup to %d or more, optimizer.lr to %.2g or less, or adapter.init.scale to %.2g\n",
		firstSteps, worst*peak*sigma, sigma, init.Name, int(10*firstSteps*worst)+1, r.cfg.Optimizer.LR*0.1/(worst*peak), init.Scale*10*worst*peak)
	return nil
}
