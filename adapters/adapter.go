package adapters

import (
	"context"
	"fmt"
	"slices"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// Trainable is one trained tensor.
type Trainable struct {
	// Key is the tensor's name in the adapter file, for full fine-tuning the weight's own name.
	Key   string
	Param *graph.Param
	// Grad has the shape of the parameter's value; the backward pass fills it.
	Grad *kernel.Tensor
}

func newTrainable(key string, p *graph.Param) *Trainable {
	return &Trainable{Key: key, Param: p, Grad: kernel.New(p.Value.Shape...)}
}

// tensor returns what the optimizer sees.
func (t *Trainable) tensor() optim.Tensor {
	return optim.Tensor{Name: t.Key, Value: t.Param.Value, Grad: t.Grad}
}

// part is one layer or tensor that an adapter trains.
type part interface {
	// name says where the part sits, for reports.
	name() string
	// trainables and points return what is trained, in the same order.
	trainables() []*Trainable
	points() []optim.Point
	// fuse returns the base parameters that the part changes, with their values in float32.
	fuse(*fusion) error
	// detach restores the model.
	detach()
}

// Adapter is an adapter on a model.
type Adapter struct {
	config   Config
	settings formats.Settings // nil for full fine-tuning
	model    Model
	header   formats.Header
	parts    []part
	trained  []*Trainable
	points   []optim.Point
	notes    []string
	waiting  []waiting                       // what StartFromWeights or StartFromGradient will initialise
	users    map[*graph.Param][]string       // names of the modules that use a weight; several where it is tied
	base     map[*graph.Param]*kernel.Tensor // what parameters that are trained in place were before
}

// Attach puts a new adapter onto the model, or with cfg.From a stored one. Its random values depend on the seed and the module's
// name alone, so that another choice of targets does not change them. rng is the state of the run's dropout (see layers.Dropout);
// nil leaves dropout off. Graphs have to be built afterwards.
func Attach(m Model, cfg Config, seed uint64, rng *kernel.Tensor) (*Adapter, error) {
	return ready(Prepare(m, cfg, seed, rng))
}

// Prepare is Attach without what takes the values of the weights, which is left to [Adapter.StartFromWeights].
func Prepare(m Model, cfg Config, seed uint64, rng *kernel.Tensor) (*Adapter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg, file, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	return attach(m, cfg, file, seed, rng)
}

// AttachFile puts an adapter that formats.Read has read onto the model; rng is as in [Attach].
func AttachFile(m Model, file *formats.Adapter, rng *kernel.Tensor) (*Adapter, error) {
	cfg, err := configOf(file)
	if err != nil {
		return nil, err
	}
	cfg.From = file.Path
	return ready(attach(m, cfg, file, 0, rng))
}

// ready carries out what an adapter that was just attached waits for.
func ready(a *Adapter, err error) (*Adapter, error) {
	if err != nil {
		return nil, err
	}
	if err := a.StartFromWeights(context.Background()); err != nil {
		a.Detach()
		return nil, err
	}
	return a, nil
}

func attach(m Model, cfg Config, file *formats.Adapter, seed uint64, rng *kernel.Tensor) (*Adapter, error) {
	t, err := typeByName(cfg.Type)
	if err != nil {
		return nil, err
	}
	b := &builder{
		Adapter: &Adapter{config: cfg, model: m, users: usersOf(m), base: map[*graph.Param]*kernel.Tensor{}}, file: file, seed: seed, rng: rng,
		modules: modulesOf(m),
	}
	if err = t.attach(b); err == nil && file != nil {
		b.header = file.Header
		b.notes = append(b.notes, file.Notes...)
		err = b.Load(file)
	}
	if err != nil {
		b.Detach()
		return nil, fmt.Errorf("adapters: %w", err)
	}
	return b.Adapter, nil
}

// add takes a finished part over.
func (a *Adapter) add(p part) {
	a.parts = append(a.parts, p)
	a.trained = append(a.trained, p.trainables()...)
	a.points = append(a.points, p.points()...)
}

// Config returns the config with every default filled in, and with the values of the file it came from.
func (a *Adapter) Config() Config { return a.config }

// Trainables returns all trained tensors: those of the adapted modules in the model's order, then biases and whole modules.
func (a *Adapter) Trainables() []*Trainable { return a.trained }

// Params returns the parameters of all trained tensors, in the order of Trainables.
func (a *Adapter) Params() []*graph.Param {
	out := make([]*graph.Param, len(a.trained))
	for i, t := range a.trained {
		out[i] = t.Param
	}
	return out
}

// Points returns what the optimizer moves: a LowRank point for each pair of factors, Euclidean points for everything else. Their
// gradients are those of Trainables.
func (a *Adapter) Points() []optim.Point { return a.points }

// Size returns the number of trained values.
func (a *Adapter) Size() int {
	n := 0
	for _, t := range a.trained {
		n += t.Param.Value.Len()
	}
	return n
}

// Modules returns the names of the adapted modules and, after them, of what is trained whole.
func (a *Adapter) Modules() []string {
	out := make([]string, len(a.parts))
	for i, p := range a.parts {
		out[i] = p.name()
	}
	return out
}

// Notes tell what a user should know, such as settings of a file that have no effect here.
func (a *Adapter) Notes() []string { return a.notes }

// Detach takes the adapter off and leaves the model as it was before Attach. Graphs with the adapter must not be used afterwards.
func (a *Adapter) Detach() {
	for _, p := range slices.Backward(a.parts) {
		p.detach()
	}
	a.parts, a.trained, a.points, a.waiting = nil, nil, nil, nil
}
