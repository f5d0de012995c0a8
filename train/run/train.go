package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/checkpoint"
)

// ConfigFile is the resolved config in a run's folder. The other entries beside train.MetricsFile follow.
const (
	ConfigFile     = "config.yaml"
	checkpointsDir = "checkpoints"
	adapterDir     = "adapter" // the final adapter
	modelDir       = "model"   // the final model of full fine-tuning
	bestDir        = "best"    // what had the lowest held-out loss
	baseDir        = "base"    // the base model of the adapter, where its start was taken out of the weights
	startFile      = "init.json"
	reportFile     = "report.md"
)

// saved is the state of a run in a checkpoint.
type saved struct {
	train.State
	// Data identifies data and batches; a run continues on no other.
	Data string `json:"data"`
}

// Train carries the run out. It returns train.ErrInterrupted when one of the contexts ended it early; see train.Trainer.Run.
func (r *Run) Train(finish, stop context.Context) error {
	state, err := r.restore()
	if err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.start(stop, state.Data != ""); err != nil {
		return err
	}
	kept := state.Step
	if state.Data == "" { // no checkpoint: the evaluation before the first step is done again too
		kept = -1
	}
	metrics, err := train.OpenMetrics(r.out(train.MetricsFile), kept, "tokens")
	if err != nil {
		return err
	}
	defer metrics.Close()
	progress := train.NewProgress(r.progressWriter(), r.o.Terminal, "tokens", state.Step, r.steps)
	report := &report{run: r, started: time.Now()}
	trainer, err := r.trainer(metrics, progress, report)
	if err != nil {
		return err
	}
	if state.Data != "" {
		if err := trainer.Restore(state.State); err != nil {
			return err
		}
	}
	if err := r.task.Prepare(); err != nil {
		return err
	}
	err = trainer.Run(finish, stop)
	progress.Break()
	if err != nil {
		return err
	}
	if err := r.export(r.finalDir()); err != nil {
		return err
	}
	return report.finish(trainer.State())
}

func (r *Run) progressWriter() io.Writer {
	if r.o.Quiet {
		return io.Discard
	}
	return r.o.Log
}

// begin makes the run's folder and writes the resolved config.
func (r *Run) begin() error {
	if err := os.MkdirAll(r.cfg.Out, 0o777); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	data, err := r.cfg.YAML()
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(r.out(ConfigFile), data)
}

// trainer wires the loop to files and display.
func (r *Run) trainer(metrics *train.MetricsLog, progress *train.Progress, report *report) (*train.Trainer, error) {
	o, err := r.options()
	if err != nil {
		return nil, err
	}
	return train.NewTrainer(r.task, r.opt, r.adapter.Points(), o, train.Hooks{
		Save: r.save,
		Step: func(m train.StepMetrics) error {
			progress.Step(m)
			report.step(m)
			if r.o.Observe != nil {
				r.o.Observe(m)
			}
			return metrics.Step(m)
		},
		Eval: func(m train.EvalMetrics) error {
			progress.Eval(m)
			report.eval(m)
			return metrics.Eval(m)
		},
		Best: func(train.EvalMetrics) error { return r.export(r.out(bestDir)) },
	}), nil
}

// options returns what the loop does when.
func (r *Run) options() (train.Options, error) {
	schedule, err := optim.NewSchedule(r.cfg.Schedule.Name, r.cfg.Schedule.Warmup, r.steps)
	o := train.Options{
		Steps: r.steps, Accumulate: r.cfg.Train.Accumulate, SaveEvery: r.cfg.Train.SaveEvery,
		EvalEvery: r.cfg.Train.EvalEvery, SpectrumEvery: r.cfg.Train.SpectrumEvery, Patience: r.cfg.Eval.Patience,
		LR: r.cfg.Optimizer.LR, Schedule: schedule,
	}
	if len(r.data.heldOut) == 0 {
		o.EvalEvery = 0
	}
	return o, err
}

// save writes a checkpoint and removes old ones.
func (r *Run) save(s train.State) error {
	stored := r.stored(&saved{s, r.data.fingerprint})
	stored.Gradients = s.Micro > 0
	if !r.full() {
		stored.Extra = func(dir string) error { return r.adapter.Save(dir+"/"+adapterDir, r.header()) }
	}
	if _, err := checkpoint.Save(r.out(checkpointsDir), s.Step, stored); err != nil {
		return err
	}
	return checkpoint.Prune(r.out(checkpointsDir), r.cfg.Train.KeepCheckpoints)
}

func (r *Run) stored(s *saved) checkpoint.Run {
	return checkpoint.Run{State: s, Constants: r.adapter.Constants(), Points: r.adapter.Points(), Optimizer: r.opt}
}

// restore loads the newest whole checkpoint if the run is to resume, and refuses to start over in a folder that holds a run.
func (r *Run) restore() (saved, error) {
	var s saved
	path, broken := checkpoint.Latest(r.out(checkpointsDir))
	if !r.o.Resume {
		if _, err := os.Stat(r.out(train.MetricsFile)); path != "" || err == nil {
			return s, fmt.Errorf("run: %s already holds a run; continue it with --resume, or choose another folder with --set out=DIR", r.cfg.Out)
		}
		return s, nil
	}
	for _, err := range broken {
		fmt.Fprintf(r.o.Log, "warning: passed over %v\n", err)
	}
	if path == "" {
		fmt.Fprintf(r.o.Log, "%s holds no checkpoint yet; starting at step 0\n", r.cfg.Out)
		return s, nil
	}
	if err := checkpoint.Load(path, r.stored(&s)); err != nil {
		return s, errors.Join(fmt.Errorf("run: resume from %s", path), err)
	}
	if s.Data != r.data.fingerprint {
		return s, fmt.Errorf("run: resume from %s: data, tokenizer or batch settings differ from those of the checkpoint; put them back or start a new run", path)
	}
	r.adapter.Restored()
	fmt.Fprintf(r.o.Log, "continuing after step %d of %s\n", s.Step, path)
	return s, nil
}

func (r *Run) header() formats.Header {
	base := r.cfg.Model.Path
	if r.adapter.BelongsToModifiedBase() {
		base = r.out(baseDir)
	}
	return formats.Header{Base: base, Task: "CAUSAL_LM"}
}

func (r *Run) finalDir() string {
	if r.full() {
		return r.out(modelDir)
	}
	return r.out(adapterDir)
}

// export writes what was trained in its portable form: a PEFT directory, or a whole model.
func (r *Run) export(dir string) error {
	if !r.full() {
		return r.adapter.Save(dir, r.header())
	}
	var options []transformer.SaveOption
	if d, ok := kernel.FromTorch(r.cfg.Model.DType); ok {
		options = append(options, transformer.StoredAs(d))
	}
	return r.model.Save(dir, options...)
}
