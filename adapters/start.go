package adapters

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/optim"
)

// start holds the factors of the update X0 that an initialisation began with and that is not a part of the model's function. A checkpoint
// holds them beside the trained values, so that a run that goes on decomposes no weight and goes on from the same bits on another
// processor too. The weight W - X0 is made again from them and from W, which is cheap.
type start struct {
	a, b *graph.Param
	// carried says that -X0 is added to the layer's output; otherwise it is in the weight.
	carried bool
}

// start runs the initialisation of a new adapter, or puts it off where it needs the values of the weight or the gradient. The factors of a
// stored one come from its file, whose init_lora_weights is given, but what that initialisation took out of the base weight has to be
// taken out again.
func (b *builder) start(p *loraLinear, stored string) error {
	settings := b.config.Init
	if b.file != nil {
		if strings.HasPrefix(stored, "pissa_niter_") { // whose randomised SVD approximates the exact one
			stored = "pissa"
		}
		if settings = (Init{Name: stored}.withDefaults()); settings.Base != BaseModified {
			return nil
		}
	}
	init, err := initByName(settings.Name)
	if err != nil {
		return err
	}
	if err := b.canStart(p, settings, init); err != nil {
		return fmt.Errorf("init %s %w", settings.Name, err)
	}
	if settings.Base != "" {
		p.keepStart(settings.Base == BaseCarried)
	}
	w := waiting{p, b.input(p, settings), init, b.file != nil}
	if init.gradient == nil && !init.fromWeight {
		return w.fill()
	}
	b.waiting = append(b.waiting, w)
	if w.stored {
		return nil
	}
	until := *w.x // it is filled, the model is the base
	until.a, until.b = p.a.Param.Value.F32, p.b.Param.Value.F32
	return kaimingInit(&until)
}

// waiting is a layer whose initialisation is still to be carried out.
type waiting struct {
	p    *loraLinear
	x    *initInput
	init initializer
	// stored says that the factors come from a file, and only X0 is wanted.
	stored bool
}

// fill carries out an initialisation that needs no gradient.
func (w *waiting) fill() error {
	if err := w.init.fill(w.x); err != nil {
		return err
	}
	w.begin()
	return nil
}

// begin makes the computed factors those of the layer and of its X0.
func (w *waiting) begin() {
	s := w.p.start
	if s == nil {
		return
	}
	if !w.stored {
		copy(w.p.a.Param.Value.F32, s.a.Value.F32)
		copy(w.p.b.Param.Value.F32, s.b.Value.F32)
	}
	if !s.carried {
		w.p.takeOut()
	}
}

// StartFromWeights carries out an initialisation that takes the weights alone, which for a large model takes a while; there is nothing to do
// for others. Only [Prepare] leaves it to its caller: a run that goes on from a checkpoint has the values there (see [Adapter.Restored]),
// and one that is only looked at needs none. When ctx ends it returns the context's error, and may be called again.
func (a *Adapter) StartFromWeights(ctx context.Context) error {
	for a.NeedsWeights() {
		if err := ctx.Err(); err != nil {
			return err
		}
		w := &a.waiting[0]
		if err := w.fill(); err != nil {
			return fmt.Errorf("adapters: %s: %w", w.p.name(), err)
		}
		if d, ok := w.p.layer.Adapter.(*doraLinear); ok && !w.stored {
			d.measure()
		}
		a.waiting = a.waiting[1:]
	}
	return nil
}

// NeedsWeights reports whether the adapter waits for StartFromWeights. Until then the model is the base with what a file has put on it.
func (a *Adapter) NeedsWeights() bool { return len(a.waiting) > 0 && a.waiting[0].init.fromWeight }

// canStart refuses what no initialisation of the kind can do for a layer.
func (b *builder) canStart(p *loraLinear, settings Init, init initializer) error {
	if settings.Base == BaseModified {
		if err := b.canReplace(p.layer, init.peft); err != nil {
			return err
		}
	}
	if settings.offset() && p.scale <= 0 {
		return errors.New("needs a positive alpha")
	}
	if most := min(p.layer.In, p.layer.Out); init.triplets*p.rank() > most {
		return fmt.Errorf("with rank %d, but the weight is %d×%d; choose a rank of at most %d, or leave the module out of targets",
			p.rank(), p.layer.Out, p.layer.In, most/init.triplets)
	}
	return nil
}

// input returns what an initialisation of p may use. It writes to the factors of X0, where there are some.
func (b *builder) input(p *loraLinear, settings Init) *initInput {
	x := &initInput{
		rng: b.random(p.layer.Name), in: p.layer.In, out: p.layer.Out, rank: p.rank(), scale: p.scale, settings: settings,
		weight: func() []float32 { return outIn(p.layer) }, a: p.a.Param.Value.F32, b: p.b.Param.Value.F32,
	}
	if p.start != nil {
		x.a, x.b = p.start.a.Value.F32, p.start.b.Value.F32
	}
	return x
}

// canReplace refuses to change the weight where another module uses it too, or where PEFT, which knows the initialisation by that name,
// could not do the same on loading.
func (b *builder) canReplace(l *layers.Linear, peft string) error {
	if users := b.users[l.Weight]; len(users) > 1 {
		return fmt.Errorf("changes the weight, which is shared by %q; leave the module out of targets, or set init.base to %s", users, BaseCarried)
	}
	if peft == "olora" && l.InOut {
		return errors.New("is not defined for weights stored as (in, out), the Conv1D of GPT-2; use pissa")
	}
	return nil
}

// keepStart makes room for the factors of X0.
func (p *loraLinear) keepStart(carried bool) {
	room := func(t *Trainable) *graph.Param {
		q := graph.NewParam(t.Key+".start", t.Param.Value.Shape...)
		q.Trainable = false
		return q
	}
	p.start = &start{a: room(p.a), b: room(p.b), carried: carried}
}

// Constants returns what the adapter's function depends on besides trained values and the base weights: the factors of X0, without
// gradients. They are part of a checkpoint; [Adapter.Restored] is to be called when they have been put back.
func (a *Adapter) Constants() []optim.Tensor {
	var out []optim.Tensor
	for _, p := range a.linears() {
		if p.start == nil {
			continue
		}
		for _, q := range []*graph.Param{p.start.a, p.start.b} {
			out = append(out, optim.Tensor{Name: q.Name, Value: q.Value})
		}
	}
	return out
}

// Restored makes the adapter go on from trained values and constants that were put back, instead of initialising them.
func (a *Adapter) Restored() {
	a.waiting = nil
	for _, p := range a.linears() {
		if p.start != nil && !p.start.carried {
			p.takeOut()
		}
	}
}

// linears returns the adapted linear layers.
func (a *Adapter) linears() []*loraLinear {
	var out []*loraLinear
	for _, p := range a.parts {
		switch p := p.(type) {
		case *loraLinear:
			out = append(out, p)
		case *doraLinear:
			out = append(out, p.loraLinear)
		}
	}
	return out
}

// carries reports whether -X0 is carried along.
func (a *Adapter) carries() bool {
	return a.config.Init.Base == BaseCarried
}

// BelongsToModifiedBase reports whether the saved adapter goes with weights other than those of the model that PEFT would not derive on
// loading; SaveBase writes them.
func (a *Adapter) BelongsToModifiedBase() bool {
	return a.config.Init.Base == BaseModified && a.config.Init.peft() == defaultInit
}

// SaveBase calls save while the model's parameters hold the weights that the adapter belongs to, W - X0, and what the adapter trains in place
// is what it was before. It reports what rounding the weights to the type they are stored in has cost.
func (a *Adapter) SaveBase(save func() error) (*FuseReport, error) {
	f := &fusion{}
	for _, p := range a.linears() {
		if p.start == nil || !a.BelongsToModifiedBase() {
			continue
		}
		base, modified := p.base.Value, p.layer.Weight.Value
		f.report.add(measure(p.base.Name, base.Floats(), p.without(), modified.Floats()))
		p.base.Value = modified
		defer func() { p.base.Value = base }()
	}
	for p, before := range a.base {
		trained := p.Value
		p.Value = before
		defer func() { p.Value = trained }()
	}
	return &f.report, save()
}
