package train

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/names"
	"github.com/geotune/geotune/optim"
)

// problem is a mistake in a config, found after decoding.
type problem struct{ path, text string }

func (p problem) Error() string { return p.path + ": " + p.text }

// Validate reports all mistakes that show without opening a file.
func (c *Config) Validate() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// checks collects problems.
type checks []problem

func (cs *checks) failf(path, format string, args ...any) {
	*cs = append(*cs, problem{path, fmt.Sprintf(format, args...)})
}

// atLeast checks an integer's lower bound.
func (cs *checks) atLeast(path string, found, least int) {
	if found < least {
		cs.failf(path, "is %d, expected at least %d", found, least)
	}
}

// amount checks a number that may not be negative or infinite.
func (cs *checks) amount(path string, found float64) {
	if !(found >= 0) || math.IsInf(found, 0) {
		cs.failf(path, "is %v, expected a finite number that is not negative", found)
	}
}

// oneOf checks a name.
func (cs *checks) oneOf(path, found string, known ...string) {
	if slices.Contains(known, found) {
		return
	}
	cs.failf(path, "is %q, known are %s%s", found, strings.Join(known, ", "), names.DidYouMean(found, known))
}

func (c *Config) problems() []problem {
	var cs checks
	if c.Model.Path == "" {
		cs.failf("model.path", "is missing; name a Hugging Face model directory, or builtin:quickstart/model")
	}
	cs.oneOf("model.init", c.Model.Init, InitPretrained, InitRandom)
	cs.oneOf("model.dtype", c.Model.DType, append([]string{"auto"}, kernel.TorchNames()...)...)
	c.checkData(&cs)
	if err := c.Adapter.Validate(); err != nil {
		cs.failf("adapter", "%v", trimmed(err, "adapters: "))
	}
	if c.Model.Init == InitRandom && c.Adapter.Type != "full" {
		cs.failf("adapter.type", "is %q on a model of random weights, which an adapter cannot teach; expected full", c.Adapter.Type)
	}
	c.checkOptimizer(&cs)
	c.checkTrain(&cs)
	if c.Out == "" {
		cs.failf("out", "is empty; name the folder of the run")
	}
	return cs
}

func (c *Config) checkData(cs *checks) {
	d := &c.Data
	switch fixed := d.Tensors != ""; {
	case len(d.Train) == 0 && !fixed:
		cs.failf("data.train", "is missing; name a JSONL file, or with data.tensors one batch in a safetensors file")
	case len(d.Train) > 0 && fixed:
		cs.failf("data.tensors", "stands beside data.train; keep one of them")
	case len(d.HeldOut) > 0 && fixed:
		cs.failf("data.heldout", "is not evaluated beside data.tensors; remove it")
	}
	for _, list := range []struct {
		path  string
		files Files
	}{{"data.train", d.Train}, {"data.heldout", d.HeldOut}} {
		if slices.Contains(list.files, "") {
			cs.failf(list.path, "has an empty path; name a JSONL file")
		}
	}
	cs.atLeast("data.max_length", d.MaxLength, 2)
	cs.atLeast("data.heldout_limit", d.HeldOutLimit, 0)
}

func (c *Config) checkOptimizer(cs *checks) {
	o := &c.Optimizer
	cs.amount("optimizer.lr", o.LR)
	cs.amount("optimizer.weight_decay", o.WeightDecay)
	for i, g := range o.Groups {
		checkGroup(cs, fmt.Sprintf("optimizer.groups[%d]", i), g)
	}
	if o.Rule == nil {
		cs.failf("optimizer.name", "has no rule; known are %s", strings.Join(optim.Names(), ", "))
	} else if v, ok := o.Rule.(optim.Validator); ok {
		if err := v.Validate(); err != nil {
			cs.failf("optimizer", "%v", err)
		}
	}
	cs.oneOf("schedule.name", c.Schedule.Name, optim.ScheduleNames()...)
	cs.atLeast("schedule.warmup", c.Schedule.Warmup, 0)
}

func (c *Config) checkTrain(cs *checks) {
	t := &c.Train
	cs.atLeast("train.steps", t.Steps, 0)
	cs.atLeast("train.epochs", t.Epochs, 0)
	switch {
	case t.Steps == 0 && t.Epochs == 0:
		cs.failf("train.steps", "is missing; set it or train.epochs")
	case t.Steps > 0 && t.Epochs > 0:
		cs.failf("train.epochs", "stands beside train.steps; keep one of them")
	case t.Epochs > 0 && c.Data.Tensors != "":
		cs.failf("train.epochs", "has no meaning for the one batch of data.tensors; set train.steps")
	}
	cs.atLeast("train.batch", t.Batch, 1)
	cs.atLeast("train.accumulate", t.Accumulate, 1)
	cs.amount("train.clip_grad_norm", t.ClipGradNorm)
	cs.atLeast("train.save_every", t.SaveEvery, 0)
	cs.atLeast("train.keep_checkpoints", t.KeepCheckpoints, 0)
	cs.atLeast("train.eval_every", t.EvalEvery, 0)
	cs.atLeast("train.spectrum_every", t.SpectrumEvery, 0)
	cs.atLeast("eval.batch", c.Eval.Batch, 1)
	cs.atLeast("eval.patience", c.Eval.Patience, 0)
	if c.Eval.Patience > 0 && (t.EvalEvery == 0 || len(c.Data.HeldOut) == 0) {
		cs.failf("eval.patience", "needs evaluations; set data.heldout and train.eval_every, or remove it")
	}
}

func checkGroup(cs *checks, at string, g optim.Group) {
	if _, err := path.Match(g.Match, ""); err != nil || g.Match == "" {
		cs.failf(at+".match", "is %q, expected a pattern such as *lora_B*", g.Match)
	}
	if g.LRMultiplier != nil {
		cs.amount(at+".lr_multiplier", *g.LRMultiplier)
	}
	if g.WeightDecay != nil {
		cs.amount(at+".weight_decay", *g.WeightDecay)
	}
}
