package adapters

import (
	"errors"
	"fmt"
	"math"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/optim/manifold"
)

// Pass adds the gradient of a loss to the gradients of probes, which are zero at the call. Every call is for the same batch, without dropout.
type Pass func() error

// Start tells what an initialisation has found in the gradient G at the base weights.
type Start struct {
	Init   string       `json:"init"`
	Passes int          `json:"passes"`
	Layers []LayerStart `json:"layers"`
}

// LayerStart is what Start tells of one layer.
type LayerStart struct {
	Module string `json:"module"`
	Rank   int    `json:"rank"`
	// Norm estimates the Frobenius norm of G, Largest is its largest singular value.
	Norm    float64 `json:"norm"`
	Largest float64 `json:"largest"`
	// Captured is the share of the squared norm of G within the tangent space at X0, so far as the decomposition found it: what the first
	// step on the manifold can use. Residual is what is left, ‖G - P_T·G‖/‖G‖.
	Captured float64 `json:"captured"`
	Residual float64 `json:"residual"`
	// Gap is the ratio of the last singular value that is used to the next one; near 1, the choice between them is arbitrary. It is 0
	// where no further one was found.
	Gap float64 `json:"gap"`
	// Found is the rank of G as far as it was looked for. Below Used, the number of triplets that the initialisation uses, some
	// directions of the start are arbitrary; more data helps.
	Found int `json:"found"`
	Used  int `json:"used"`
}

// NeedsGradient reports whether the adapter waits for StartFromGradient. Until then the model is the base.
func (a *Adapter) NeedsGradient() bool {
	return len(a.waiting) > 0 && a.waiting[0].init.gradient != nil
}

// StartFromGradient carries out an initialisation that takes the gradient at the base weights. compile is called once, while a probe stands
// on every layer instead of the adapter: an update of the given trainables that is and stays 0, so that every pass differentiates at
// exactly the base weights. All layers share the passes, of which there are 2·(power+1); the gradient itself is never formed. Graphs
// with the adapter have to be built afterwards.
func (a *Adapter) StartFromGradient(compile func(probes []*Trainable) (Pass, error)) (*Start, error) {
	if !a.NeedsGradient() {
		return nil, errors.New("adapters: this initialisation does not wait for a gradient")
	}
	s := a.config.Init
	rsvd := manifold.RSVD{Oversample: s.Oversample, Power: *s.Power}
	found, err := a.decompose(rsvd, compile)
	if err != nil {
		return nil, fmt.Errorf("adapters: init %s: %w", s.Name, err)
	}
	report := &Start{Init: s.Name, Passes: rsvd.Passes()}
	for i, w := range a.waiting {
		w.init.gradient(w.x, found[i])
		w.begin()
		report.Layers = append(report.Layers, w.describe(found[i]))
	}
	a.waiting = nil
	return report, nil
}

// decompose returns the singular triplets of the gradients of all waiting layers.
func (a *Adapter) decompose(rsvd manifold.RSVD, compile func([]*Trainable) (Pass, error)) ([]manifold.SVD[float32], error) {
	var set probes
	var wanted []manifold.Wanted
	var trained []*Trainable
	for _, w := range a.waiting {
		want := manifold.Wanted{Rows: w.x.out, Cols: w.x.in, Rank: w.init.triplets * w.x.rank}
		p := newProbe(w.p.layer, rsvd.Width(want))
		w.p.layer.Adapter = p
		defer func() { w.p.layer.Adapter = w.p }()
		set.list, wanted, trained = append(set.list, p), append(wanted, want), append(trained, p.a, p.b)
	}
	var err error
	if set.pass, err = compile(trained); err != nil {
		return nil, err
	}
	found, err := rsvd.Decompose(&set, wanted, func(i int) float64 { return a.waiting[i].x.rng.NormFloat64() })
	var broken *manifold.Broken
	if errors.As(err, &broken) {
		return nil, a.waiting[broken.Index].broken(broken.Zero)
	}
	return found, err
}

// broken is the error for a gradient without directions.
func (w *waiting) broken(zero bool) error {
	if zero {
		return fmt.Errorf("%s has no gradient: it is 0 on the batch, or the layer takes no part in the forward pass; leave it out of targets", w.p.name())
	}
	return fmt.Errorf("%s has a gradient with NaN or infinities; the model or the data is broken", w.p.name())
}

func (w *waiting) describe(d manifold.SVD[float32]) LayerStart {
	used := w.init.triplets * w.x.rank
	l := LayerStart{
		Module: w.p.name(), Rank: w.x.rank, Norm: math.Sqrt(d.SquaredNorm()), Largest: d.S[0],
		Captured: d.Energy(used) / d.SquaredNorm(), Found: d.Rank(), Used: used,
	}
	l.Residual = math.Sqrt(max(0, 1-l.Captured))
	if gap := d.Gap(used); !math.IsInf(gap, 1) {
		l.Gap = gap
	}
	return l
}

// newProbe returns what takes the place of an adapter on a linear layer: LoRA with scale 1 whose product is 0. Where B is 0, the gradient of
// B is G·Aᵀ; where A is 0, that of A is Bᵀ·G.
func newProbe(l *layers.Linear, width int) *loraLinear {
	return &loraLinear{
		layer: l, base: l.Weight, scale: 1,
		a: newParam(l.Name, formats.KindA, width, l.In), b: newParam(l.Name, formats.KindB, l.Out, width),
	}
}

// probes serves the products of the gradients of many layers. It implements manifold.Products.
type probes struct {
	list []*loraLinear
	pass Pass
}

// Mul implements manifold.Products.
func (s *probes) Mul(x, y []dense.Mat[float32]) error {
	for i, p := range s.list {
		clear(p.b.Param.Value.F32)
		dense.Copy(matrixOf(p.a.Param.Value), x[i].T())
	}
	return s.run(func(i int, p *loraLinear) { dense.Copy(y[i], matrixOf(p.b.Grad)) })
}

// MulT implements manifold.Products.
func (s *probes) MulT(y, x []dense.Mat[float32]) error {
	for i, p := range s.list {
		clear(p.a.Param.Value.F32)
		dense.Copy(matrixOf(p.b.Param.Value), y[i])
	}
	return s.run(func(i int, p *loraLinear) { dense.Copy(x[i], matrixOf(p.a.Grad).T()) })
}

// run makes a pass and hands its results over.
func (s *probes) run(read func(i int, p *loraLinear)) error {
	for _, p := range s.list {
		clear(p.a.Grad.F32)
		clear(p.b.Grad.F32)
	}
	if err := s.pass(); err != nil {
		return err
	}
	for i, p := range s.list {
		read(i, p)
	}
	return nil
}

func matrixOf(t *kernel.Tensor) dense.Mat[float32] { return dense.Of(t.F32, t.Shape[0], t.Shape[1]) }
