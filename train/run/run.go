// Package run puts a training run together from its config: model, data, adapter, optimizer and the folder that holds the results.
package run

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/text"
)

// Options say how a run is started; what it does is in its config.
type Options struct {
	// Resume continues from the newest checkpoint in the run's folder.
	Resume bool
	// Log takes what people read while the run goes on; nil discards it. Terminal says that it can redraw a line.
	Log      io.Writer
	Terminal bool
	// Quiet leaves out the progress.
	Quiet bool
	// Observe, if set, is told the numbers of each step.
	Observe func(train.StepMetrics)
}

// Run is a run that can be looked at (Plan) or carried out (Train).
type Run struct {
	cfg      *train.Config
	o        Options
	modelDir string
	model    *transformer.Model
	data     *data
	adapter  *adapters.Adapter
	opt      *optim.Optimizer
	task     *text.Task
	steps    int
	begun    *begun // nil where the start needed no gradient
}

// Open reads model and data and attaches the adapter, whose start is left to what needs it. It writes nothing.
func Open(cfg *train.Config, o Options) (*Run, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	r := &Run{cfg: cfg, o: o}
	for _, step := range []func() error{r.openModel, r.openData, r.attach, r.optimizer} {
		if err := step(); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// Facts are what is known of a run that was opened.
type Facts struct {
	// Fingerprint identifies tokenizer, data and batches; with the seed it fixes the order of all batches.
	Fingerprint string
	// Steps is the number of optimizer steps of the whole run.
	Steps int
	// Trained is the number of trained values, StateBytes the memory of what the optimizer remembers.
	Trained    int
	StateBytes int64
}

// Facts returns what is known of the run.
func (r *Run) Facts() Facts {
	return Facts{Fingerprint: r.data.fingerprint, Steps: r.steps, Trained: r.adapter.Size(), StateBytes: r.opt.StateBytes()}
}

// Close releases the model's files.
func (r *Run) Close() error {
	if r.model == nil {
		return nil
	}
	return r.model.Close()
}

func (r *Run) openModel() (err error) {
	if r.modelDir, err = configs.Resolve(r.cfg.Model.Path); err != nil {
		return err
	}
	if r.cfg.Model.Init == train.InitRandom {
		r.model, err = transformer.OpenRandom(r.modelDir, r.cfg.Train.Seed)
	} else {
		r.model, err = transformer.Open(r.modelDir)
	}
	return err
}

// attach puts the adapter on the model. Its dropout draws from the run's seed and the place in the run.
func (r *Run) attach() (err error) {
	cfg := r.cfg.Adapter
	if cfg.From != "" {
		if cfg.From, err = configs.Resolve(cfg.From); err != nil {
			return err
		}
	}
	rng := kernel.NewI32(4)
	rng.I32[0], rng.I32[1] = int32(uint32(r.cfg.Train.Seed)), int32(uint32(r.cfg.Train.Seed>>32))
	if r.adapter, err = adapters.Prepare(r.model, cfg, r.cfg.Train.Seed, rng); err != nil {
		return err
	}
	source, err := r.data.source(r.cfg)
	if err != nil {
		return err
	}
	heldOut, err := r.data.heldOutBatches(r.cfg)
	if err != nil {
		return err
	}
	r.task = text.NewTask(r.model, r.adapter.Trainables(), source, text.TaskOptions{
		Checkpoint: r.cfg.Train.Checkpointing, Rng: rng, HeldOut: heldOut, Fingerprint: r.data.fingerprint,
	})
	if r.steps = r.cfg.Train.Steps; r.steps == 0 {
		per := r.data.perEpoch * r.cfg.Train.Epochs
		r.steps = max(1, (per+r.cfg.Train.Accumulate-1)/r.cfg.Train.Accumulate)
	}
	return nil
}

func (r *Run) optimizer() (err error) {
	r.opt, err = optim.New(r.cfg.Optimizer.Rule, r.adapter.Points(), r.cfg.OptimConfig())
	return err
}

// out returns a path in the run's folder.
func (r *Run) out(name ...string) string {
	return filepath.Join(append([]string{r.cfg.Out}, name...)...)
}

// full reports whether the run trains the whole model instead of an adapter.
func (r *Run) full() bool { return r.adapter.Config().Type == "full" }

// modelSize returns the number of values of all parameters.
func (r *Run) modelSize() int {
	n := 0
	for _, p := range r.model.Params() {
		n += p.Value.Len()
	}
	return n
}

// count prints a number of parameters as 1,234,567.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
