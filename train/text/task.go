package text

import (
	"fmt"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train"
)

// Source deals out batches; *Batcher is the usual one.
type Source interface {
	Next() *Batch
	Position() train.Position
	Seek(train.Position) error
	// Largest returns the rows and the row length that no batch exceeds.
	Largest() (rows, length int)
}

// TaskOptions configure a Task.
type TaskOptions struct {
	// Checkpoint recomputes each layer in the backward pass instead of keeping its values.
	Checkpoint bool
	// Rng holds the key of all dropout layers of the model, I32 {seed low, seed high, step, micro-batch}; nil when there are none.
	Rng *kernel.Tensor
	// HeldOut are the batches of evaluation; empty when there is no held-out data.
	HeldOut []*Batch
	// Fingerprint identifies the data and its order.
	Fingerprint string
	// Trace, when set, is told the time of every kernel pass.
	Trace graph.Trace
}

// Task is language modelling: next-token prediction on the targets of each batch. It implements train.Task.
type Task struct {
	source   Source
	programs *programs
	opt      TaskOptions
}

var _ train.Task = (*Task)(nil)

// NewTask returns the task of training what trained lists, parameters of model or of an adapter on it.
func NewTask(model *transformer.Model, trained []*adapters.Trainable, source Source, opt TaskOptions) *Task {
	grads := map[*graph.Param]*kernel.Tensor{}
	for _, t := range trained {
		grads[t.Param] = t.Grad
	}
	ws := graph.NewWorkspace()
	ws.Trace = opt.Trace
	return &Task{source: source, opt: opt, programs: &programs{
		model: model, ws: ws, grads: grads, checkpoint: opt.Checkpoint, compiled: map[shape]*program{},
	}}
}

// Next implements train.Task.
func (t *Task) Next() train.Batch { return t.source.Next() }

// Position implements train.Task.
func (t *Task) Position() train.Position { return t.source.Position() }

// Seek implements train.Task.
func (t *Task) Seek(p train.Position) error { return t.source.Seek(p) }

// Fingerprint implements train.Task.
func (t *Task) Fingerprint() string { return t.opt.Fingerprint }

// Accumulate implements train.Task.
func (t *Task) Accumulate(b train.Batch, at train.Moment, scale float32) (float64, error) {
	batch := b.(*Batch)
	prog, err := t.programs.get(batch.Batch, true)
	if err != nil {
		return 0, err
	}
	if t.opt.Rng != nil {
		t.opt.Rng.I32[2], t.opt.Rng.I32[3] = int32(at.Step), int32(at.Micro)
	}
	prog.seed.F32[0] = scale
	return prog.run(batch.Batch)
}

// Evaluate implements train.Task.
func (t *Task) Evaluate() (train.Evaluation, error) {
	var e train.Evaluation
	var sum float64
	for _, b := range t.opt.HeldOut {
		prog, err := t.programs.get(b.Batch, false)
		if err != nil {
			return e, err
		}
		loss, err := prog.run(b.Batch)
		if err != nil {
			return e, err
		}
		sum += loss
		e.Targets += b.Targets()
	}
	if e.Targets == 0 {
		return e, fmt.Errorf("text: the held-out data has no targets")
	}
	e.Loss = sum / float64(e.Targets)
	return e, nil
}

// ArenaBytes returns the memory of intermediate values.
func (t *Task) ArenaBytes() int64 { return t.programs.ws.Bytes() }

// Prepare compiles the program of the largest batch, so that the memory of intermediate values is taken once and not by and by.
func (t *Task) Prepare() error {
	rows, length := t.source.Largest()
	_, err := t.programs.get(transformer.NewBatch(rows, length), true)
	return err
}
