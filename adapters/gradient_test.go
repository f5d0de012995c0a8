package adapters_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
)

// regression is a model of linear layers beside each other, each with data and targets of its own: Σ ½·‖x·Wᵀ - y‖². The gradient of a
// weight is known, Σ (x·Wᵀ - y)ᵀ·x.
type regression struct {
	linears  []*layers.Linear
	x, y     []*kernel.Tensor
	compiled int
	passes   int
}

func (m *regression) Linears() []*layers.Linear             { return m.linears }
func (m *regression) Embeddings() []*layers.Embedding       { return nil }
func (m *regression) MakeTrainable(func(string) bool) error { return errors.New("nothing to train") }
func (m *regression) Params() []*graph.Param {
	var out []*graph.Param
	for _, l := range m.linears {
		out = append(out, l.Weight)
	}
	return out
}

const (
	regressionIn, regressionOut, regressionRows = 20, 14, 60
)

// newRegression returns a model of an ordinary layer and one whose weight is stored (in,out).
func newRegression(inOut ...bool) *regression {
	rng := rand.New(rand.NewPCG(11, 11))
	normal := func(rows, cols int) *kernel.Tensor {
		t := kernel.New(rows, cols)
		for i := range t.F32 {
			t.F32[i] = float32(rng.NormFloat64() / float64(1+i%cols)) // a spectrum that falls
		}
		return t
	}
	m := &regression{}
	for i, swapped := range inOut {
		l := &layers.Linear{Name: fmt.Sprintf("layers.%d.fit", i), In: regressionIn, Out: regressionOut, InOut: swapped}
		w := normal(l.Out, l.In)
		if swapped {
			w = normal(l.In, l.Out)
		}
		l.Weight = graph.FrozenParam(l.Name+".weight", w)
		m.linears = append(m.linears, l)
		m.x, m.y = append(m.x, normal(regressionRows, l.In)), append(m.y, normal(regressionRows, l.Out))
	}
	return m
}

// squares is the kernel of Σ ½·(a - b)² over inputs a and constants b.
type squares struct{}

func (squares) String() string { return "squares" }
func (squares) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	return kernel.Plan{Out: kernel.Shape{1}, ReadsX: []int{0, 1}}, nil
}
func (squares) Forward(c *kernel.Call) {
	var sum float64
	for i, v := range c.X[0].F32 {
		d := float64(v) - float64(c.X[1].F32[i])
		sum += d * d / 2
	}
	c.Y.F32[0] = float32(sum)
}
func (squares) Backward(c *kernel.Call) {
	for i, v := range c.X[0].F32 {
		c.DX[0].F32[i] = c.DY.F32[0] * (v - c.X[1].F32[i])
	}
}

// compile returns the pass over the given slices of the data, each a micro-batch, that adds the gradients of the mean over all rows.
func (m *regression) compile(batches ...[2]int) func([]*adapters.Trainable) (adapters.Pass, error) {
	return func(probes []*adapters.Trainable) (adapters.Pass, error) {
		m.compiled++
		var machines []*graph.Machine
		rows := 0
		for _, b := range batches {
			rows += b[1] - b[0]
		}
		for _, b := range batches {
			machine, err := m.program(b, probes, 1/float32(rows))
			if err != nil {
				return nil, err
			}
			machines = append(machines, machine)
		}
		return func() error {
			m.passes++
			for _, machine := range machines {
				if err := machine.RunAll(); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}

func (m *regression) program(rows [2]int, trained []*adapters.Trainable, scale float32) (*graph.Machine, error) {
	g := graph.NewWorkspace().NewGraph()
	var outputs []graph.Output
	var loss *graph.Node
	part := func(t *kernel.Tensor) *kernel.Tensor {
		n := t.Shape[1]
		return kernel.FromF32(t.F32[rows[0]*n:rows[1]*n], rows[1]-rows[0], n)
	}
	for i, l := range m.linears {
		if _, absent := l.Adapter.(absent); absent {
			continue
		}
		y := l.Apply(g, g.Leaf(fmt.Sprint("x", i), part(m.x[i])))
		one := g.Apply(squares{}, y, g.Leaf(fmt.Sprint("y", i), part(m.y[i])))
		if loss == nil {
			loss = one
		} else {
			loss = g.Apply(kernel.Add{}, loss, one)
		}
	}
	seed, value := g.Input("seed", kernel.F32, 1)
	value.F32[0] = scale
	used := g.Params()
	var wrt []*graph.Node
	for _, t := range trained {
		if slices.Contains(used, t.Param) {
			wrt = append(wrt, g.Param(t.Param))
			outputs = append(outputs, graph.Output{Into: t.Grad, Add: true})
		}
	}
	for i, n := range g.Gradients(loss, seed, wrt...) {
		outputs[i].Node = n
	}
	return g.Compile(append(outputs, graph.Output{Node: loss})...)
}

// absent marks a layer that takes no part in the forward pass.
type absent struct{ layers.LinearAdapter }

// gradient returns the exact gradient of the mean over all rows at the weight of layer i, (out,in).
func (m *regression) gradient(i int) *mat.Dense {
	l := m.linears[i]
	w := mat.NewDense(l.Out, l.In, nil)
	for o := range l.Out {
		for j := range l.In {
			if l.InOut {
				w.Set(o, j, float64(l.Weight.Value.F32[j*l.Out+o]))
			} else {
				w.Set(o, j, float64(l.Weight.Value.F32[o*l.In+j]))
			}
		}
	}
	x, y := asMatrix(m.x[i]), asMatrix(m.y[i])
	var e, g mat.Dense
	e.Mul(x, w.T())
	e.Sub(&e, y)
	g.Mul(e.T(), x)
	g.Scale(1.0/regressionRows, &g)
	return &g
}

func asMatrix(t *kernel.Tensor) *mat.Dense {
	d := mat.NewDense(t.Shape[0], t.Shape[1], nil)
	for i, v := range t.F32 {
		d.Set(i/t.Shape[1], i%t.Shape[1], float64(v))
	}
	return d
}

func thinSVD(g mat.Matrix) (u, v *mat.Dense, s []float64) {
	var svd mat.SVD
	svd.Factorize(g, mat.SVDThin)
	u, v = new(mat.Dense), new(mat.Dense)
	svd.UTo(u)
	svd.VTo(v)
	return u, v, svd.Values(nil)
}

// update returns scale·B·A of layer i as it is now.
func update(a *adapters.Adapter, i int) *mat.Dense {
	p := a.Points()[i].(*optim.LowRank)
	var x mat.Dense
	x.Mul(asMatrix(p.B().Value), asMatrix(p.A().Value))
	x.Scale(float64(p.Scale), &x)
	return &x
}

// band returns Σ f(s[k])·u[from+k]·v[to+k]ᵀ over r directions.
func band(u, v *mat.Dense, from, to, r int, f func(k int) float64) *mat.Dense {
	m, _ := u.Dims()
	n, _ := v.Dims()
	out := mat.NewDense(m, n, nil)
	for k := range r {
		var one mat.Dense
		one.Outer(f(k), u.ColView(from+k), v.ColView(to+k))
		out.Add(out, &one)
	}
	return out
}

func startFrom(t *testing.T, m *regression, cfg adapters.Config, batches ...[2]int) (*adapters.Adapter, *adapters.Start) {
	t.Helper()
	a, err := adapters.Attach(m, cfg, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !a.NeedsGradient() {
		t.Fatal("the adapter does not wait for a gradient")
	}
	if len(batches) == 0 {
		batches = [][2]int{{0, regressionRows}}
	}
	s, err := a.StartFromGradient(m.compile(batches...))
	if err != nil {
		t.Fatal(err)
	}
	return a, s
}

// TestStartsFromAKnownGradient compares the update of each initialisation with its definition on the exact decomposition of the
// gradient, for both layouts of weights and a scale other than 1.
func TestStartsFromAKnownGradient(t *testing.T) {
	const r = 3
	root := math.Sqrt(r)
	for _, c := range []struct {
		init adapters.Init
		want func(u, v *mat.Dense, s []float64, scale float64) *mat.Dense
	}{
		{adapters.Init{Name: "loi"}, func(u, v *mat.Dense, _ []float64, _ float64) *mat.Dense {
			return band(u, v, 0, r, r, func(int) float64 { return -0.01 / root })
		}},
		{adapters.Init{Name: "loi", Scale: 0.7}, func(u, v *mat.Dense, _ []float64, _ float64) *mat.Dense {
			return band(u, v, 0, r, r, func(int) float64 { return 0.7 / root })
		}},
		{adapters.Init{Name: "lora_ga"}, func(u, v *mat.Dense, s []float64, scale float64) *mat.Dense {
			return band(u, v, r, 0, r, func(k int) float64 { return scale * s[r+k] * math.Pow(regressionOut, 0.25) / 4 })
		}},
		{adapters.Init{Name: "lora_one"}, func(u, v *mat.Dense, s []float64, scale float64) *mat.Dense {
			return band(u, v, 0, 0, r, func(k int) float64 { return -scale * s[k] / s[0] / 128 })
		}},
	} {
		t.Run(fmt.Sprint(c.init.Name, c.init.Scale), func(t *testing.T) {
			m := newRegression(false, true)
			a, s := startFrom(t, m, adapters.Config{Rank: r, Alpha: 2 * r, Init: c.init})
			if m.compiled != 1 || m.passes != 4 || s.Passes != 4 {
				t.Errorf("%d programs, %d passes, reported %d; want 1 and 2·(q+1) = 4", m.compiled, m.passes, s.Passes)
			}
			for i := range m.linears {
				u, v, values := thinSVD(m.gradient(i))
				want, got := c.want(u, v, values, 2), update(a, i)
				if e := signless(got, want, u, v); e > 2e-4*mat.Norm(want, 2) {
					t.Errorf("layer %d: X0 is off by %.2g of %.2g", i, e, mat.Norm(want, 2))
				}
				if a.NeedsGradient() {
					t.Error("the adapter still waits")
				}
			}
		})
	}
}

// signless returns the distance of the absolute coordinates of got and want in the bases u and v: each pair of singular vectors has a
// common sign that is arbitrary, and U₁·V₂ᵀ takes its vectors from different pairs.
func signless(got, want, u, v *mat.Dense) float64 {
	var a, b mat.Dense
	a.Product(u.T(), got, v)
	b.Product(u.T(), want, v)
	var sum float64
	for i := range a.RawMatrix().Data {
		d := math.Abs(a.RawMatrix().Data[i]) - math.Abs(b.RawMatrix().Data[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}

// TestLossAndWeightsStayAtTheStart: LOI and LoRA-GA leave the function as it was, LoRA-One takes a step that lowers the loss.
func TestLossAndWeightsStayAtTheStart(t *testing.T) {
	loss := func(m *regression) float64 {
		g := graph.NewWorkspace().NewEvalGraph()
		var outputs []graph.Output
		for i, l := range m.linears {
			y := l.Apply(g, g.Leaf(fmt.Sprint("x", i), m.x[i]))
			outputs = append(outputs, graph.Output{Node: g.Apply(squares{}, y, g.Leaf(fmt.Sprint("y", i), m.y[i]))})
		}
		machine, err := g.Compile(outputs...)
		if err == nil {
			err = machine.RunAll()
		}
		if err != nil {
			t.Fatal(err)
		}
		return float64(machine.Output(0).F32[0]) + float64(machine.Output(1).F32[0])
	}
	for _, c := range []struct {
		init adapters.Init
		keep bool
	}{
		{adapters.Init{Name: "loi", Scale: -3}, true}, {adapters.Init{Name: "lora_ga", Gamma: 0.1}, true},
		{adapters.Init{Name: "loi", Scale: -3, Base: "modified"}, true}, {adapters.Init{Name: "lora_one"}, false},
	} {
		m := newRegression(false, true)
		before := loss(m)
		a, _ := startFrom(t, m, adapters.Config{Rank: 3, Init: c.init})
		after := loss(m)
		switch {
		case c.keep && math.Abs(after/before-1) > 1e-6:
			t.Errorf("%+v: the loss went from %v to %v", c.init, before, after)
		case !c.keep && !(after < before):
			t.Errorf("%+v: the loss went from %v to %v, want less", c.init, before, after)
		}
		for i := range a.Points() {
			if mat.Norm(update(a, i), 2) == 0 {
				t.Errorf("%+v: X is zero", c.init)
			}
		}
	}
}

// TestMicroBatchesAreAveragedExactly: the gradient of two micro-batches of different size is that of both together.
func TestMicroBatchesAreAveragedExactly(t *testing.T) {
	cfg := adapters.Config{Rank: 3, Init: adapters.Init{Name: "loi"}}
	whole, found := startFrom(t, newRegression(false, true), cfg)
	parts, again := startFrom(t, newRegression(false, true), cfg, [2]int{0, 17}, [2]int{17, regressionRows})
	for i := range whole.Points() {
		var off mat.Dense
		off.Sub(update(whole, i), update(parts, i))
		if e := mat.Norm(&off, 2) / mat.Norm(update(whole, i), 2); e > 1e-4 {
			t.Errorf("layer %d: X0 is off by %.2g", i, e)
		}
		if a, b := found.Layers[i], again.Layers[i]; math.Abs(a.Largest-b.Largest) > 1e-5*a.Largest || math.Abs(a.Captured-b.Captured) > 1e-3 {
			t.Errorf("layer %d: found %+v and %+v", i, a, b)
		}
	}
}

// TestStartReportsWhatItFound compares captured energy, residual, gap and norm with those of the exact gradient, and the part of the
// gradient in the tangent space with the decomposition that the report rests on.
func TestStartReportsWhatItFound(t *testing.T) {
	const r = 3
	power := 3
	for _, c := range []struct {
		name string
		used int
	}{{"loi", 2 * r}, {"lora_ga", 2 * r}, {"lora_one", r}} {
		m := newRegression(false, true)
		// 4 of 14 directions are left for the estimate of what was not found.
		a, s := startFrom(t, m, adapters.Config{Rank: r, Init: adapters.Init{Name: c.name, Oversample: 10 - c.used, Power: &power}})
		if s.Init != c.name || s.Passes != 8 || m.passes != 8 || len(s.Layers) != 2 {
			t.Errorf("%s: %+v after %d passes", c.name, s, m.passes)
		}
		for i, l := range s.Layers {
			g := m.gradient(i)
			_, _, values := thinSVD(g)
			var all, part float64
			for k, v := range values {
				all += v * v
				if k < c.used {
					part += v * v
				}
			}
			x := update(a, i)
			inside := tangentEnergy(x, g, r)
			for what, off := range map[string]float64{
				"norm": l.Norm/math.Sqrt(all) - 1, "largest": l.Largest/values[0] - 1, "captured": l.Captured/(part/all) - 1,
				"residual": l.Residual - math.Sqrt(1-part/all), "gap": l.Gap/(values[c.used-1]/values[c.used]) - 1,
				"energy in the tangent space": inside/part - 1,
			} {
				if math.Abs(off) > 0.01 {
					t.Errorf("%s, layer %d: %s is off by %.2g (%+v)", c.name, i, what, off, l)
				}
			}
			if l.Module != m.linears[i].Name || l.Rank != r || l.Used != c.used || l.Found < c.used {
				t.Errorf("%s: %+v", c.name, l)
			}
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	}
}

// tangentEnergy returns the energy of g in the tangent space at x, of rank r.
func tangentEnergy(x, g *mat.Dense, r int) float64 {
	u, v, _ := thinSVD(x)
	m, n := x.Dims()
	uu, vv := u.Slice(0, m, 0, r), v.Slice(0, n, 0, r)
	var left, right, both mat.Dense
	left.Product(uu.T(), g)
	right.Product(g, vv)
	both.Product(uu.T(), g, vv)
	square := func(d *mat.Dense) float64 { return math.Pow(mat.Norm(d, 2), 2) }
	return square(&left) + square(&right) - square(&both)
}

// TestRiemannionTrainsFromLOI: the rule takes the start over as it is, its gradient is the best of rank 2r, and the loss falls.
func TestRiemannionTrainsFromLOI(t *testing.T) {
	const r = 3
	m := newRegression(false, true)
	a, _ := startFrom(t, m, adapters.Config{Rank: r, Alpha: 2 * r, Init: adapters.Init{Name: "loi", Scale: -0.5}})
	before := []*mat.Dense{update(a, 0), update(a, 1)}
	rule, err := optim.NewRule("riemannion")
	if err != nil {
		t.Fatal(err)
	}
	o, err := optim.New(rule, a.Points(), optim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := m.program([2]int{0, regressionRows}, a.Trainables(), 1.0/regressionRows)
	if err != nil {
		t.Fatal(err)
	}
	energy := 0.0
	for i := range before {
		var off mat.Dense
		off.Sub(update(a, i), before[i])
		if e := mat.Norm(&off, 2); e > 1e-6*mat.Norm(before[i], 2) {
			t.Errorf("layer %d: the rule's start is off X0 by %.2g", i, e)
		}
		_, _, s := thinSVD(m.gradient(i))
		for _, v := range s[:2*r] {
			energy += v * v
		}
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	stats, err := o.Step(1e-3)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(stats.GradNorm/math.Sqrt(energy)-1) > 1e-3 {
		t.Errorf("the first Riemannian gradient has length %v, want that of the truncated decomposition, %v", stats.GradNorm, math.Sqrt(energy))
	}
	loss := machine.Output(len(a.Trainables())).F32[0]
	for range 100 {
		for _, tr := range a.Trainables() {
			clear(tr.Grad.F32)
		}
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		if _, err = o.Step(0.03); err != nil {
			t.Fatal(err)
		}
	}
	if after := machine.Output(len(a.Trainables())).F32[0]; !(after < loss/2) {
		t.Errorf("the loss went from %v to %v", loss, after)
	}
}

func TestStartFromGradientNamesWhatIsWrong(t *testing.T) {
	attach := func() (*regression, *adapters.Adapter) {
		m := newRegression(false, true)
		a, err := adapters.Attach(m, adapters.Config{Rank: 2, Init: adapters.Init{Name: "loi"}}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m, a
	}
	m, a := attach()
	m.y[1].F32[3] = float32(math.NaN())
	_, err := a.StartFromGradient(m.compile([2]int{0, regressionRows}))
	if err == nil || !strings.Contains(err.Error(), "init loi: layers.1.fit has a gradient with NaN") {
		t.Errorf("error %v", err)
	}

	m, a = attach()
	_, err = a.StartFromGradient(func(probes []*adapters.Trainable) (adapters.Pass, error) {
		m.linears[1].Adapter = absent{m.linears[1].Adapter}
		return m.compile([2]int{0, regressionRows})(probes)
	})
	if err == nil || !strings.Contains(err.Error(), "init loi: layers.1.fit has no gradient") {
		t.Errorf("error %v", err)
	}
	if _, stuck := m.linears[1].Adapter.(absent); stuck {
		t.Error("a failed start left its probe on the layer")
	}

	m, a = attach()
	broken := errors.New("out of memory")
	_, err = a.StartFromGradient(func([]*adapters.Trainable) (adapters.Pass, error) { return nil, broken })
	if !errors.Is(err, broken) || !a.NeedsGradient() {
		t.Errorf("error %v", err)
	}
	if _, err := a.StartFromGradient(m.compile([2]int{0, regressionRows})); err != nil {
		t.Errorf("a second try: %v", err)
	}
	if _, err := a.StartFromGradient(m.compile([2]int{0, regressionRows})); err == nil || !strings.Contains(err.Error(), "does not wait") {
		t.Errorf("started twice: %v", err)
	}
}

// TestUntilItHasItsGradientTheModelIsTheBase: nothing is lost if the adapter is only looked at.
func TestUntilItHasItsGradientTheModelIsTheBase(t *testing.T) {
	for _, name := range []string{"loi", "lora_ga", "lora_one"} {
		m := newFake(fakeOptions{})
		base := outputs(t, m)
		a := attach(t, m, adapters.Config{Rank: 2, Init: adapters.Init{Name: name}})
		same(t, name, outputs(t, m), base, 0)
		a.Restored()
		if a.NeedsGradient() {
			t.Errorf("%s: restored values would be replaced", name)
		}
	}
}

// TestLOIAgreesWithRecordedGradients starts real models, GPT-2 with its transposed weights among them, and compares what is captured with
// the decomposition of the gradients that PyTorch has recorded.
func TestLOIAgreesWithRecordedGradients(t *testing.T) {
	const rank = 4
	for _, name := range []string{"llama_base", "gpt2_base", "gpt_neox_base", "qwen2_base"} {
		t.Run(name, func(t *testing.T) {
			r := readReference(t, name)
			r.Base = "model"
			m, b := r.model(t), r.batch(t)
			before := run(t, m, b, nil)
			a := attach(t, m, adapters.Config{Rank: rank, Alpha: 2 * rank, Init: adapters.Init{Name: "loi", Scale: -1}})
			passes := 0
			found, err := a.StartFromGradient(func(probes []*adapters.Trainable) (adapters.Pass, error) {
				g := graph.NewWorkspace().NewGraph()
				out := m.Forward(g, b, transformer.Options{})
				machine, err := g.Compile(gradients(g, out.Loss, b, probes)...)
				return func() error { passes++; return machine.RunAll() }, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if passes != 4 || len(found.Layers) != len(a.Points()) {
				t.Errorf("%d passes, %d layers", passes, len(found.Layers))
			}
			recorded := tensors(t, filepath.Join(r.dir, "grads.safetensors"))
			for i, l := range found.Layers {
				g := asMatrix(kernel.FromF32(recorded[l.Module+".weight"].Values, recorded[l.Module+".weight"].Shape...))
				if name == "gpt2_base" {
					g = mat.DenseCopyOf(g.T())
				}
				_, _, s := thinSVD(g)
				best := 0.0
				for _, v := range s[:2*rank] {
					best += v * v
				}
				if inside := tangentEnergy(update(a, i), g, rank); inside < 0.999*best || inside > 1.0001*best {
					t.Errorf("%s: captured %v of %v", l.Module, inside, best)
				}
				all := math.Pow(mat.Norm(g, 2), 2)
				if math.Abs(l.Captured-best/all) > 0.03 || math.Abs(l.Largest/s[0]-1) > 1e-3 {
					t.Errorf("%s: reported %+v, the recorded gradient has %v of its energy in %d directions, %v the largest", l.Module, l, best/all, 2*rank, s[0])
				}
			}
			if after := run(t, m, b, nil); math.Abs(after.loss-before.loss) > 1e-6*before.loss {
				t.Errorf("the loss went from %v to %v", before.loss, after.loss)
			}
		})
	}
}
