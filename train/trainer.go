package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/geotune/geotune/optim"
)

// Options say how long a Trainer trains and when it does what.
type Options struct {
	Steps      int // optimizer steps
	Accumulate int // micro-batches a step
	SaveEvery  int // steps between checkpoints; 0 = only at the end
	EvalEvery  int // steps between evaluations; 0 = never
	// SpectrumEvery is the steps between measurements of the trained matrices' rank; 0 = never
	SpectrumEvery int
	Patience      int // evaluations without a better loss after which training stops; 0 = never
	LR            float64
	Schedule      optim.Schedule
}

// Hooks are the Trainer's ways out. Save must be set; the others may be nil.
type Hooks struct {
	// Save stores a checkpoint of the state.
	Save func(State) error
	// Step and Eval are told the numbers of each step and evaluation.
	Step func(StepMetrics) error
	Eval func(EvalMetrics) error
	// Best is called after an evaluation with the lowest loss so far.
	Best func(EvalMetrics) error
}

// State is where a run stands between two micro-batches. Together with the optimizer's state, the values of the points and, in the
// middle of a step, their gradients it determines all that follows.
type State struct {
	Step     int      `json:"step"`     // optimizer steps done
	Micro    int      `json:"micro"`    // micro-batches of the next step already accumulated
	LossSum  float64  `json:"loss_sum"` // their summed loss
	Position Position `json:"position"` // of the first micro-batch of the next step
	Items    int64    `json:"items"`    // tokens or images seen
	BestLoss float64  `json:"best_loss"`
	BestStep int      `json:"best_step"` // 0 = no evaluation yet
	Bad      int      `json:"bad"`       // evaluations since the best
	Saved    int      `json:"-"`         // step of the last checkpoint
}

// StepMetrics are the numbers of one optimizer step.
type StepMetrics struct {
	Step     int     // from 1
	Loss     float64 // mean over the targets of the step, before the update
	LR       float64
	GradNorm float64 // before clipping
	// Spectrum is that of the low-rank points after the step; its Point is "" where it was not measured.
	Spectrum optim.Spectrum
	Items    int // tokens or images of the step
	Targets  int
	Epoch    int
	Duration time.Duration
	// Optimizer is the part of Duration that the optimizer took: clipping, the rule and the geometry of its points.
	Optimizer time.Duration
}

// EvalMetrics are the numbers of one evaluation.
type EvalMetrics struct {
	Step int
	Evaluation
	Best     bool
	Duration time.Duration
}

// ErrInterrupted is returned by Run when its context ended; the state was saved.
var ErrInterrupted = errors.New("train: interrupted; the state is saved, continue with --resume")

// DivergedError ends a run whose numbers are no longer finite.
type DivergedError struct {
	// Step is the one that could not be taken, from 1, or after which the held-out loss was not finite.
	Step int
	// Err says what was found where.
	Err error
}

// Error returns the text of Err.
func (e *DivergedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *DivergedError) Unwrap() error { return e.Err }

// finite reports whether v is a number, and not infinite.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Trainer is the training loop.
type Trainer struct {
	task   Task
	opt    *optim.Optimizer
	points []optim.Point
	grads  []optim.Tensor
	o      Options
	hooks  Hooks
	state  State

	batches []Batch // of the step in progress
}

// NewTrainer returns a trainer at step 0.
func NewTrainer(task Task, opt *optim.Optimizer, points []optim.Point, o Options, hooks Hooks) *Trainer {
	t := &Trainer{task: task, opt: opt, points: points, o: o, hooks: hooks, state: State{Position: task.Position(), Saved: -1}, batches: make([]Batch, o.Accumulate)}
	for _, p := range points {
		t.grads = append(t.grads, p.Tensors()...)
	}
	return t
}

// State returns where the run stands.
func (t *Trainer) State() State { return t.state }

// Restore continues from a saved state. Values, gradients and the optimizer's state are the caller's to put back.
func (t *Trainer) Restore(s State) error {
	s.Saved = s.Step
	t.state = s
	return t.task.Seek(s.Position)
}

// Run trains until the last step, early stopping or the end of one of the contexts: when finish ends, the step in progress is
// completed and saved; when stop ends, the run saves between two micro-batches. Both give ErrInterrupted.
func (t *Trainer) Run(finish, stop context.Context) error {
	if t.state.Step == 0 && t.state.Micro == 0 {
		if err := t.evaluate(); err != nil {
			return err
		}
	}
	for t.state.Step < t.o.Steps && !t.exhausted() {
		if err := t.step(stop); err != nil {
			return err
		}
		if due(t.state.Step, t.o.EvalEvery) || t.state.Step == t.o.Steps && t.o.EvalEvery > 0 {
			if err := t.evaluate(); err != nil {
				return err
			}
		}
		if due(t.state.Step, t.o.SaveEvery) {
			if err := t.save(); err != nil {
				return err
			}
		}
		if finish.Err() != nil && t.state.Step < t.o.Steps {
			return t.interrupt()
		}
	}
	return t.save()
}

func due(step, every int) bool { return every > 0 && step%every == 0 }

// exhausted reports whether patience has run out.
func (t *Trainer) exhausted() bool { return t.o.Patience > 0 && t.state.Bad >= t.o.Patience }

// step accumulates the gradients of all micro-batches, each weighted by the targets of the whole step, and moves the points.
func (t *Trainer) step(stop context.Context) error {
	start := time.Now()
	batches, m := t.fetch()
	if m.Targets == 0 {
		return fmt.Errorf("train: step %d: no target in any of its %d micro-batches", m.Step, len(batches))
	}
	if t.state.Micro == 0 {
		t.clearGradients()
		t.state.LossSum = 0
	}
	for i := t.state.Micro; i < len(batches); i++ {
		if stop.Err() != nil {
			return t.interrupt()
		}
		sum, err := t.task.Accumulate(batches[i], Moment{t.state.Step, i}, 1/float32(m.Targets))
		if err != nil {
			return fmt.Errorf("train: step %d, micro-batch %d: %w", m.Step, i, err)
		}
		if !finite(sum) {
			return &DivergedError{m.Step, fmt.Errorf("train: step %d, micro-batch %d: the loss is %v; %s", m.Step, i, sum, t.lastGood())}
		}
		t.state.LossSum += sum
		t.state.Micro = i + 1
	}
	m.Loss = t.state.LossSum / float64(m.Targets)
	m.LR = t.o.LR * t.o.Schedule(t.state.Step)
	if err := t.move(&m); err != nil {
		return err
	}
	m.Duration = time.Since(start)
	t.state.Step, t.state.Micro, t.state.LossSum = m.Step, 0, 0
	t.state.Position = t.task.Position()
	t.state.Items += int64(m.Items)
	if t.hooks.Step != nil {
		return t.hooks.Step(m)
	}
	return nil
}

// move lets the optimizer take the step.
func (t *Trainer) move(m *StepMetrics) error {
	start := time.Now()
	stats, err := t.opt.Step(m.LR)
	m.GradNorm, m.Optimizer = stats.GradNorm, time.Since(start)
	if err == nil {
		if due(m.Step, t.o.SpectrumEvery) {
			m.Spectrum = optim.MeasureSpectrum(t.points)
		}
		return nil
	}
	err = fmt.Errorf("train: %w; %s", err, t.lastGood())
	var nonFinite *optim.NonFiniteError
	if errors.As(err, &nonFinite) {
		return &DivergedError{m.Step, err}
	}
	return err
}

// fetch takes the micro-batches of the next step: also those accumulated before an interruption, whose targets count.
func (t *Trainer) fetch() ([]Batch, StepMetrics) {
	m := StepMetrics{Step: t.state.Step + 1}
	for i := range t.batches {
		b := t.task.Next()
		t.batches[i] = b
		m.Targets += b.Targets()
		m.Items += b.Items()
		m.Epoch = b.Epoch()
	}
	return t.batches, m
}

func (t *Trainer) clearGradients() {
	for _, g := range t.grads {
		if g.Grad != nil {
			clear(g.Grad.F32)
		}
	}
}

func (t *Trainer) evaluate() error {
	if t.o.EvalEvery == 0 {
		return nil
	}
	start := time.Now()
	e, err := t.task.Evaluate()
	if err != nil {
		return fmt.Errorf("train: evaluate after step %d: %w", t.state.Step, err)
	}
	if !finite(e.Loss) {
		return &DivergedError{t.state.Step, fmt.Errorf("train: after step %d the held-out loss is %v; %s", t.state.Step, e.Loss, t.lastGood())}
	}
	m := EvalMetrics{Step: t.state.Step, Evaluation: e, Best: t.state.Step > 0 && (t.state.BestStep == 0 || e.Loss < t.state.BestLoss)}
	if m.Best {
		t.state.BestLoss, t.state.BestStep, t.state.Bad = e.Loss, t.state.Step, 0
	} else if t.state.Step > 0 {
		t.state.Bad++
	}
	m.Duration = time.Since(start)
	if t.hooks.Eval != nil {
		if err := t.hooks.Eval(m); err != nil {
			return err
		}
	}
	if m.Best && t.hooks.Best != nil {
		return t.hooks.Best(m)
	}
	return nil
}

// interrupt saves and returns ErrInterrupted, or why the state could not be saved.
func (t *Trainer) interrupt() error {
	if err := t.save(); err != nil {
		return err
	}
	return ErrInterrupted
}

func (t *Trainer) save() error {
	if t.state.Saved == t.state.Step && t.state.Micro == 0 {
		return nil
	}
	if err := t.hooks.Save(t.state); err != nil {
		return fmt.Errorf("train: save after step %d: %w", t.state.Step, err)
	}
	t.state.Saved = t.state.Step
	return nil
}

func (t *Trainer) lastGood() string {
	if t.state.Saved < 0 {
		return "no checkpoint exists yet"
	}
	return fmt.Sprintf("the checkpoint of step %d is intact", t.state.Saved)
}
