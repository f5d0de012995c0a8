package optim

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/dense"
	ref "github.com/geotune/geotune/optim/internal/reference"
)

// Rules train in float32; the laws of their steps hold to 1e-12, which these tests see in float64: the same code of the steps with the
// other element type.

// wideRule is a rule with its step in float64.
type wideRule struct {
	rule  Rule
	step  func(c pairStep[float64]) error
	fixed bool // the factors start in the canonical gauge
}

// wideRules lists rules and variants whose laws are tested in float64.
func wideRules(t *testing.T) map[string]wideRule {
	all := map[string]wideRule{}
	add := func(name string, r wideRule) { all[name] = r }
	for name, edit := range map[string]func(r *Riemannion){
		"riemannion":                     func(*Riemannion) {},
		"riemannion, nesterov":           func(r *Riemannion) { r.Nesterov = true },
		"riemannion, three projections":  func(r *Riemannion) { r.Projections = 3 },
		"riemannion, as long as adamw's": func(r *Riemannion) { r.LRScaling = LRScalingAdamW },
	} {
		r := made[*Riemannion](t, "riemannion")
		edit(r)
		add(name, wideRule{r, func(c pairStep[float64]) error { return stepRiemannion(r, c) }, true})
	}
	for _, n := range []Normalize{NormalizeNone, NormalizeAdam, NormalizePaper} {
		r := made[*RiemannSGD](t, "riemann-sgd")
		r.Normalize = n
		add("riemann-sgd, "+string(n), wideRule{r, func(c pairStep[float64]) error { return stepRiemannSGD(r, c) }, true})
	}
	geo := made[*GeoLoRA](t, "geolora")
	add("geolora", wideRule{geo, func(c pairStep[float64]) error { return stepGeoLoRA(geo, c) }, true})
	thin := made[*LoRAProThinAdam](t, "lora-pro-thin-adam")
	add("lora-pro-thin-adam", wideRule{thin, func(c pairStep[float64]) error { return stepLoRAProThinAdam(thin, c) }, true})
	pro := made[*LoRAPro](t, "lora-pro")
	add("lora-pro", wideRule{pro, func(c pairStep[float64]) error { return stepLoRAPro(pro, c) }, false})
	scaled := made[*ScaledSGD](t, "scaled-sgd")
	scaled.Damping = 0
	add("scaled-sgd", wideRule{scaled, func(c pairStep[float64]) error { return stepScaledSGD(scaled, c) }, false})
	muon := made[*LoRAMuon](t, "lora-muon")
	add("lora-muon", wideRule{muon, func(c pairStep[float64]) error { return stepLoRAMuon(muon, c) }, false})
	rite := made[*LoRARITE](t, "lora-rite")
	add("lora-rite", wideRule{rite, func(c pairStep[float64]) error { return stepLoRARITE(rite, c) }, false})
	tsd := made[*LoRATSD](t, "lora-tsd")
	tsd.Rebalance = 3
	add("lora-tsd", wideRule{tsd, func(c pairStep[float64]) error { return stepLoRATSD(tsd, c) }, false})
	exact := made[*LORO](t, "loro")
	add("loro, exact steps", wideRule{exact, func(c pairStep[float64]) error { exactLORO(c); return nil }, false})
	return all
}

// made returns the registered rule, of type R.
func made[R Rule](t *testing.T, name string) R {
	t.Helper()
	rule, err := NewRule(name)
	if err != nil {
		t.Fatal(err)
	}
	return rule.(R)
}

// wideScale is the adapter's scaling in these tests; any number but 1.
const wideScale = 0.5

// widePoint is a low-rank point in float64 with the state of a rule.
type widePoint struct {
	pair[float64]
	memory[float64]
	w dense.Workspace[float64]
}

// start returns the point scale·B·A with the state that the rule starts with.
func (r wideRule) start(t *testing.T, b, a *mat.Dense) *widePoint {
	t.Helper()
	out, rank := b.Dims()
	_, in := a.Dims()
	shape, err := NewLowRank("layer", Tensor{Name: "a", Value: kernel.New(rank, in)}, Tensor{Name: "b", Value: kernel.New(out, rank)}, wideScale)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.rule.Init(shape)
	if err != nil {
		t.Fatal(err)
	}
	p := &widePoint{
		pair: pair[float64]{
			name: "layer", scale: wideScale, out: out, in: in, r: rank, a: flat(a), b: flat(b),
			ga: make([]float64, rank*in), gb: make([]float64, out*rank),
		},
		memory: memory[float64]{buffers: map[string][]float64{}, scalars: s.Scalars, counters: s.Counters},
	}
	for name, v := range s.Buffers {
		p.buffers[name] = make([]float64, len(v))
	}
	if r.fixed {
		if err := p.canonical(&p.w, 1e-6); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func flat(m *mat.Dense) []float64 { return mat.DenseCopyOf(m).RawMatrix().Data }

func (p *widePoint) factorA() *mat.Dense { return mat.NewDense(p.r, p.in, p.a) }
func (p *widePoint) factorB() *mat.Dense { return mat.NewDense(p.out, p.r, p.b) }

// x returns the matrix of the point.
func (p *widePoint) x() *mat.Dense {
	x := ref.Mul(p.factorB(), p.factorA())
	x.Scale(p.scale, x)
	return x
}

// receive gives the factors the gradients that they have where X has g.
func (p *widePoint) receive(g *mat.Dense) {
	copy(p.ga, flat(ref.Mul(p.factorB().T(), g)))
	copy(p.gb, flat(ref.Mul(g, p.factorA().T())))
	for _, side := range [][]float64{p.ga, p.gb} {
		for i := range side {
			side[i] *= p.scale
		}
	}
}

// step moves p by one step of the rule for the gradient g with respect to X.
func (r wideRule) move(t *testing.T, p *widePoint, g *mat.Dense, h Hyper) {
	t.Helper()
	p.receive(g)
	p.counters["step"]++
	p.w.Release(dense.Mark{})
	if err := r.step(pairStep[float64]{w: &p.w, pair: p.pair, memory: p.memory, h: h}); err != nil {
		t.Fatal(err)
	}
}

// route is a run of a few steps, long enough for momentum to matter.
type route struct {
	gradient func(x *mat.Dense) *mat.Dense
	h        Hyper
	steps    int
}

// end returns where X ends when the rule starts from scale·B·A.
func (r wideRule) end(t *testing.T, b, a *mat.Dense, way route) *mat.Dense {
	t.Helper()
	p := r.start(t, b, a)
	for range way.steps {
		r.move(t, p, way.gradient(p.x()), way.h)
	}
	return p.x()
}

// toward is the gradient of ½‖X - target‖² and a soft penalty, times factor.
func toward(target *mat.Dense, factor float64) func(*mat.Dense) *mat.Dense {
	return func(x *mat.Dense) *mat.Dense {
		e := ref.Combine(1, x, -1, target)
		var soft mat.Dense
		soft.Apply(func(_, _ int, v float64) float64 { return math.Tanh(v) }, e)
		return ref.Combine(factor, e, 0.1*factor, &soft)
	}
}

// narrowed returns the point in float32.
func narrowed(t *testing.T, w *widePoint) *LowRank {
	t.Helper()
	p, err := NewLowRank("layer",
		Tensor{Name: "a", Value: kernel.New(w.r, w.in), Grad: kernel.New(w.r, w.in)},
		Tensor{Name: "b", Value: kernel.New(w.out, w.r), Grad: kernel.New(w.out, w.r)}, wideScale)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range w.a {
		p.A().Value.F32[i] = float32(v)
	}
	for i, v := range w.b {
		p.B().Value.F32[i] = float32(v)
	}
	return p
}

// widen copies the values of p to w.
func widen(w *widePoint, p *LowRank) {
	for i, v := range p.A().Value.F32 {
		w.a[i] = float64(v)
	}
	for i, v := range p.B().Value.F32 {
		w.b[i] = float64(v)
	}
}

// wholeOf copies a thin matrix.
func wholeOf(m dense.Mat[float64]) *mat.Dense {
	d := mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j := range m.Cols {
			d.Set(i, j, m.At(i, j))
		}
	}
	return d
}

// trained runs the registered rule as it is, in float32.
func trained(t *testing.T, name string, b, a *mat.Dense, way route) *mat.Dense {
	t.Helper()
	rule, err := NewRule(name)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := trainedBy(t, rule, b, a, way)
	return p.x()
}

// trainedBy runs a rule in float32 and returns where the point ends, and its optimizer.
func trainedBy(t *testing.T, rule Rule, b, a *mat.Dense, way route) (*widePoint, *Optimizer) {
	t.Helper()
	wide := wideRule{rule: made[*LoRAMuon](t, "lora-muon")}.start(t, b, a)
	p := narrowed(t, wide)
	o, err := New(rule, []Point{p}, Config{WeightDecay: way.h.WeightDecay})
	if err != nil {
		t.Fatal(err)
	}
	for range way.steps {
		widen(wide, p)
		g := way.gradient(wide.x())
		ga, gb := flat(ref.Mul(wide.factorB().T(), g)), flat(ref.Mul(g, wide.factorA().T()))
		for i, v := range ga {
			p.A().Grad.F32[i] = float32(wideScale * v)
		}
		for i, v := range gb {
			p.B().Grad.F32[i] = float32(wideScale * v)
		}
		if _, err := o.Step(way.h.LR); err != nil {
			t.Fatal(err)
		}
	}
	widen(wide, p)
	return wide, o
}
