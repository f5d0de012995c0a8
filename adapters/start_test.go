package adapters_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// carried are configs whose start is not zero and does not change the weights.
var carried = map[string]adapters.Config{
	"stiefel_both":    {Rank: 2, Alpha: 6, Init: adapters.Init{Name: "stiefel_both", Scale: 0.5}},
	"milora":          {Rank: 3, Alpha: 6, Init: adapters.Init{Name: "milora"}},
	"pissa":           {Rank: 3, Init: adapters.Init{Name: "pissa", Base: "carried"}},
	"olora rslora":    {Rank: 3, UseRSLoRA: true, Init: adapters.Init{Name: "olora", Base: "carried"}},
	"patterns":        {Rank: 2, Alpha: 5, RankPattern: map[string]int{"up_proj": 3}, AlphaPattern: map[string]float64{"v_proj": 7}, Init: adapters.Init{Name: "stiefel_both", Scale: 0.5}},
	"trained along":   {Rank: 2, Bias: "lora_only", LoRABias: true, ModulesToSave: []string{"lm_head"}, Targets: []string{"q_proj"}, Init: adapters.Init{Name: "stiefel_both", Scale: 0.5}},
	"rslora patterns": {Rank: 2, UseRSLoRA: true, RankPattern: map[string]int{"up_proj": 3}, Init: adapters.Init{Name: "milora"}},
}

// outputs returns what every linear layer of the model makes of one random input.
func outputs(t *testing.T, m *fake) map[string][]float32 {
	t.Helper()
	g := graph.NewWorkspace().NewEvalGraph()
	out := map[string][]float32{}
	var nodes []graph.Output
	for _, l := range m.linears {
		x := kernel.New(3, l.In)
		for i := range x.F32 {
			x.F32[i] = float32(math.Sin(float64(7*i + len(l.Name))))
		}
		nodes = append(nodes, graph.Output{Node: l.Apply(g, g.Leaf(l.Name+" input", x))})
	}
	machine, err := g.Compile(nodes...)
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, l := range m.linears {
		out[l.Name] = slices.Clone(machine.Output(i).F32)
	}
	return out
}

// same compares outputs; tolerance is relative to the largest value.
func same(t *testing.T, what string, got, want map[string][]float32, tolerance float64) {
	t.Helper()
	for name := range want {
		if off := relative(got[name], want[name]); !(off <= tolerance) {
			t.Errorf("%s: the output of %s is off by %.2g", what, name, off)
		}
	}
}

// TestACarriedStartIsNoPartOfTheFunction: at the start every layer is that of the base, whose weights stay untouched, bfloat16 or not.
func TestACarriedStartIsNoPartOfTheFunction(t *testing.T) {
	for name, cfg := range carried {
		for _, o := range []fakeOptions{{}, {inOut: true, dtype: kernel.BF16}} {
			t.Run(name, func(t *testing.T) {
				m := newFake(o)
				base := outputs(t, m)
				var weights []*graph.Param
				for _, l := range m.linears {
					weights = append(weights, l.Weight)
				}
				a := attach(t, m, cfg)
				same(t, "start", outputs(t, m), base, 1e-6)
				for i, l := range m.linears[:len(m.linears)-1] {
					if l.Weight != weights[i] {
						t.Errorf("%s has another weight", l.Name)
					}
				}
				if n, modules := len(a.Constants()), len(a.Modules()); n == 0 || n%2 != 0 || n > 2*modules {
					t.Errorf("%d constants of %d modules", n, modules)
				}
				for i, c := range a.Constants() {
					if c.Grad != nil || slices.Max(c.Value.F32) == 0 {
						t.Errorf("constant %d, %s, has a gradient or no value", i, c.Name)
					}
				}
			})
		}
	}
}

// TestACarriedAdapterIsSavedWithTwiceTheRank: on the unmodified base the saved adapter is the same function, in memory, loaded again
// and fused, and the file says nothing of an initialisation that would have to be repeated.
func TestACarriedAdapterIsSavedWithTwiceTheRank(t *testing.T) {
	for name, cfg := range carried {
		t.Run(name, func(t *testing.T) {
			m := newFake(fakeOptions{})
			a := attach(t, m, cfg)
			perturb(a)
			want := outputs(t, m)
			dir := filepath.Join(t.TempDir(), "adapter")
			if err := a.Save(dir, formats.Header{Base: "org/base"}); err != nil {
				t.Fatal(err)
			}
			a.Detach()

			f, err := formats.Read(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			l := f.Settings.(*formats.LoRA)
			if l.Init != "default" || l.Rank != 2*cfg.Rank {
				t.Errorf("saved with init %s and rank %d", l.Init, l.Rank)
			}
			b := attach(t, m, adapters.Config{From: dir})
			if len(b.Constants()) != 0 || b.NeedsGradient() {
				t.Error("the loaded adapter is no ordinary one")
			}
			same(t, "loaded", outputs(t, m), want, 1e-6)
			if cfg.LoRABias { // most layers have no bias to add it to
				return
			}
			b.Detach()
			a = attach(t, m, cfg)
			perturb(a)
			if _, err := adapters.Fuse(a); err != nil {
				t.Fatal(err)
			}
			same(t, "fused", outputs(t, m), want, 2e-6)
		})
	}
}

// TestAModifiedBaseIsSavedAlong: the adapter of the configured rank is the same function on the base that SaveBase shows.
func TestAModifiedBaseIsSavedAlong(t *testing.T) {
	for _, o := range []fakeOptions{{}, {dtype: kernel.BF16}} {
		for _, init := range []adapters.Init{{Name: "stiefel_both", Base: "modified", Scale: 0.5}, {Name: "milora", Base: "modified"}} {
			m := newFake(o)
			start := outputs(t, m)
			before := m.snapshot()
			a := attach(t, m, adapters.Config{Rank: 2, Alpha: 6, Targets: []string{"q_proj", "up_proj"}, Init: init})
			if !a.BelongsToModifiedBase() {
				t.Fatalf("%s belongs to the base itself", init.Name)
			}
			tolerance := 1e-6
			if o.dtype == kernel.BF16 {
				tolerance = 1e-2
			}
			same(t, "start", outputs(t, m), start, tolerance)
			perturb(a)
			want := outputs(t, m)
			f := a.File(formats.Header{})
			other := newFake(o)
			report, err := a.SaveBase(func() error {
				for i, p := range m.params {
					other.params[i].Value = p.Value
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Changed) != 4 || report.MaxDelta == 0 || (report.Changed[0].Lost > 0) != (o.dtype == kernel.BF16) {
				t.Errorf("%s: report %+v", init.Name, report)
			}
			if l := f.Settings.(*formats.LoRA); l.Rank != 2 || l.Init != "default" {
				t.Errorf("%s: saved with rank %d, init %s", init.Name, l.Rank, l.Init)
			}
			if _, err := adapters.AttachFile(other, f, nil); err != nil {
				t.Fatal(err)
			}
			same(t, init.Name, outputs(t, other), want, 1e-6)

			// What a checkpoint puts back takes the place of the start.
			resumed := newFake(o)
			again, err := adapters.Attach(resumed, adapters.Config{Rank: 2, Alpha: 6, Targets: []string{"q_proj", "up_proj"}, Init: init}, 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range again.Constants() {
				copy(c.Value.F32, a.Constants()[i].Value.F32)
			}
			for i, tr := range again.Trainables() {
				copy(tr.Param.Value.F32, a.Trainables()[i].Param.Value.F32)
			}
			again.Restored()
			same(t, "resumed "+init.Name, outputs(t, resumed), want, 0)
			a.Detach()
			if m.snapshot() != before {
				t.Errorf("%s: the model is not as it was", init.Name)
			}
		}
	}
}

// TestStiefelStartsAreOrthonormal checks lengths, angles and the product.
func TestStiefelStartsAreOrthonormal(t *testing.T) {
	const rank = 3
	for _, c := range []struct {
		name string
		a, b float64 // lengths of the rows of A and the columns of B
	}{{"stiefel_a", 1, 0}, {"stiefel_b", 0, 1}, {"stiefel_both", 0.3 / math.Sqrt(rank) / 2, 1}} {
		init := adapters.Init{Name: c.name}
		if c.name == "stiefel_both" {
			init.Scale = 0.3
		}
		a := attach(t, newFake(fakeOptions{}), adapters.Config{Rank: rank, Alpha: 2 * rank, Targets: []string{"up_proj"}, Init: init})
		fa, fb := a.Trainables()[0].Param.Value, a.Trainables()[1].Param.Value
		for i := range rank {
			for j := range rank {
				var dotA, dotB, one float64
				for k := range fa.Shape[1] {
					dotA += float64(fa.F32[i*fa.Shape[1]+k]) * float64(fa.F32[j*fa.Shape[1]+k])
				}
				for k := range fb.Shape[0] {
					dotB += float64(fb.F32[k*rank+i]) * float64(fb.F32[k*rank+j])
				}
				if i == j {
					one = 1
				}
				if math.Abs(dotA-one*c.a*c.a) > 1e-6 || math.Abs(dotB-one*c.b*c.b) > 1e-6 {
					t.Errorf("%s: products %v and %v of rows and columns %d, %d", c.name, dotA, dotB, i, j)
				}
			}
		}
	}
}

// TestMiLoRATakesTheSmallestSingularValues compares X0 with a decomposition of the weight.
func TestMiLoRATakesTheSmallestSingularValues(t *testing.T) {
	m := newFake(fakeOptions{})
	l := m.linears[2]
	w := mat.NewDense(l.Out, l.In, nil)
	for i, v := range l.Weight.Value.Floats() {
		w.Set(i/l.In, i%l.In, float64(v))
	}
	var svd mat.SVD
	svd.Factorize(w, mat.SVDThin)
	want := svd.Values(nil)[l.In-3:]
	a := attach(t, m, adapters.Config{Rank: 3, Alpha: 6, Targets: []string{"up_proj"}, Init: adapters.Init{Name: "milora"}})
	f := a.File(formats.Header{})
	f.Settings.(*formats.LoRA).Rank, f.Settings.(*formats.LoRA).Alpha = 3, 6 // the trained half alone
	for _, tr := range a.Trainables() {
		f.Tensors[strings.TrimPrefix(tr.Key, formats.Prefix)] = formats.NewTensor(tr.Param.Value.F32, tr.Param.Value.Shape...)
	}
	layers, err := f.Settings.(*formats.LoRA).Layers(f.Tensors)
	if err != nil {
		t.Fatal(err)
	}
	s, err := layers[0].Spectrum()
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if math.Abs(s[i]-want[i]) > 1e-5 {
			t.Errorf("singular values %v, want %v", s, want)
		}
	}
}

func TestStartsAreRefusedWhereTheyMeanNothing(t *testing.T) {
	power := -1
	for _, c := range []struct {
		cfg  adapters.Config
		want string
	}{
		{adapters.Config{Init: adapters.Init{Name: "gaussian", Base: "carried"}}, "init.base has no meaning for init gaussian"},
		{adapters.Config{Init: adapters.Init{Name: "pissa", Scale: 1}}, "init.scale has no meaning for init pissa"},
		{adapters.Config{Init: adapters.Init{Name: "pissa", Batches: 1}}, "init.batches has no meaning"},
		{adapters.Config{Init: adapters.Init{Name: "loi", Gamma: 1}}, "init.gamma has no meaning for init loi"},
		{adapters.Config{Init: adapters.Init{Name: "lora_one", Base: "carried"}}, "init.base has no meaning for init lora_one"},
		{adapters.Config{Init: adapters.Init{Name: "milora", Seed: new(uint64)}}, "init.seed has no meaning"},
		{adapters.Config{Init: adapters.Init{Name: "loi", Base: "kept"}}, "init.base is out of range; expected carried or modified"},
		{adapters.Config{Init: adapters.Init{Name: "loi", Scale: math.NaN()}}, "init.scale is out of range"},
		{adapters.Config{Init: adapters.Init{Name: "lora_ga", Gamma: -1}}, "init.gamma is out of range; expected a positive number"},
		{adapters.Config{Init: adapters.Init{Name: "loi", Oversample: -1}}, "init.oversample is out of range"},
		{adapters.Config{Init: adapters.Init{Name: "loi", Power: &power}}, "init.power is out of range"},
		{adapters.Config{Init: adapters.Init{Name: "loi", Batches: -1}}, "init.batches is out of range"},
		{adapters.Config{Type: "dora", Init: adapters.Init{Name: "loi"}}, "init loi goes with type lora"},
		{adapters.Config{Type: "dora", Init: adapters.Init{Name: "milora"}}, "with dora set init.base to modified"},
		{adapters.Config{Type: "full", Init: adapters.Init{Batches: 1}}, "init does not go with type full"},
	} {
		if err := c.cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.cfg.Init, err, c.want)
		}
	}
	for _, c := range []struct {
		cfg  adapters.Config
		want string
	}{
		{adapters.Config{Targets: []string{"embed_tokens"}, Init: adapters.Init{Name: "stiefel_both"}}, "model.embed_tokens: init stiefel_both is for linear layers"},
		{adapters.Config{Targets: []string{"embed_tokens"}, Init: adapters.Init{Name: "lora_one"}}, "init lora_one is for linear layers"},
		{adapters.Config{Rank: 5, Targets: []string{"v_proj"}, Init: adapters.Init{Name: "stiefel_a"}}, "v_proj: init stiefel_a with rank 5, but the weight is 4×8; choose a rank of at most 4"},
		{adapters.Config{Rank: 3, Targets: []string{"v_proj"}, Init: adapters.Init{Name: "loi"}}, "v_proj: init loi with rank 3, but the weight is 4×8; choose a rank of at most 2"},
		{adapters.Config{Rank: 2, Alpha: -1, Targets: []string{"v_proj"}, Init: adapters.Init{Name: "loi"}}, "init loi needs a positive alpha"},
		{adapters.Config{Rank: 2, Targets: []string{"lm_head"}, Init: adapters.Init{Name: "loi", Base: "modified"}}, "init loi changes the weight, which is shared by"},
	} {
		_, err := adapters.Attach(newFake(fakeOptions{tied: true}), c.cfg, 1, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want %s", c.cfg.Init, err, c.want)
		}
	}
}

// TestACarriedStartNeedsNoWeightOfItsOwn: what cannot be taken out of a shared or transposed weight can be carried.
func TestACarriedStartNeedsNoWeightOfItsOwn(t *testing.T) {
	attach(t, newFake(fakeOptions{tied: true}), adapters.Config{Targets: []string{"lm_head"}, Init: adapters.Init{Name: "pissa", Base: "carried"}})
	attach(t, newFake(fakeOptions{inOut: true}), adapters.Config{Rank: 2, Init: adapters.Init{Name: "olora", Base: "carried"}})
}

func TestFromRefusesSettingsOfAnInit(t *testing.T) {
	m := newFake(fakeOptions{})
	a := attach(t, m, adapters.Config{Rank: 2, Targets: []string{"q_proj"}, Init: adapters.Init{Name: "stiefel_both"}})
	dir := filepath.Join(t.TempDir(), "adapter")
	if err := a.Save(dir, formats.Header{}); err != nil {
		t.Fatal(err)
	}
	a.Detach()
	for _, init := range []adapters.Init{{Name: "loi"}, {Name: "default", Batches: 2}} {
		_, err := adapters.Attach(m, adapters.Config{From: dir, Init: init}, 1, nil)
		if err == nil || !strings.Contains(err.Error(), "remove the key") {
			t.Errorf("%+v: error %v", init, err)
		}
	}
}

// fromWeights are configs whose start takes the weights alone.
var fromWeights = map[string]adapters.Config{
	"pissa":           {Rank: 3, Init: adapters.Init{Name: "pissa"}},
	"pissa carried":   {Rank: 3, Init: adapters.Init{Name: "pissa", Base: "carried"}},
	"olora dora":      {Type: "dora", Rank: 3, Init: adapters.Init{Name: "olora"}},
	"milora":          {Rank: 3, Alpha: 6, Init: adapters.Init{Name: "milora"}},
	"milora modified": {Rank: 3, Alpha: 6, Init: adapters.Init{Name: "milora", Base: "modified"}},
}

func prepare(t *testing.T, m adapters.Model, cfg adapters.Config) *adapters.Adapter {
	t.Helper()
	a, err := adapters.Prepare(m, cfg, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// values returns everything that an adapter's function depends on besides the base weights.
func values(a *adapters.Adapter) [][]float32 {
	var out [][]float32
	for _, tr := range a.Trainables() {
		out = append(out, slices.Clone(tr.Param.Value.F32))
	}
	for _, c := range a.Constants() {
		out = append(out, slices.Clone(c.Value.F32))
	}
	return out
}

// restore puts values back.
func restore(a *adapters.Adapter, v [][]float32) {
	for i, tr := range a.Trainables() {
		copy(tr.Param.Value.F32, v[i])
	}
	for i, c := range a.Constants() {
		copy(c.Value.F32, v[len(a.Trainables())+i])
	}
	a.Restored()
}

// TestAPreparedAdapterStartsWhenItIsTold: until then the model is the base, and afterwards all is as after Attach, to the bit.
func TestAPreparedAdapterStartsWhenItIsTold(t *testing.T) {
	for name, cfg := range fromWeights {
		t.Run(name, func(t *testing.T) {
			want := newFake(fakeOptions{})
			attached := attach(t, want, cfg)
			m := newFake(fakeOptions{})
			base := outputs(t, m)
			a := prepare(t, m, cfg)
			if attached.NeedsWeights() || !a.NeedsWeights() || a.NeedsGradient() {
				t.Errorf("attached %v and prepared %v wait for weights, prepared %v for a gradient", attached.NeedsWeights(), a.NeedsWeights(), a.NeedsGradient())
			}
			same(t, "prepared", outputs(t, m), base, 1e-6)
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := a.StartFromWeights(ended); !errors.Is(err, context.Canceled) || !a.NeedsWeights() {
				t.Errorf("error %v", err)
			}
			for range 2 { // the second time there is nothing to do
				if err := a.StartFromWeights(t.Context()); err != nil || a.NeedsWeights() {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(values(a), values(attached)) {
					t.Error("the values differ from those after Attach")
				}
				same(t, "started", outputs(t, m), outputs(t, want), 0)
			}
		})
	}
}

// TestRestoredValuesNeedNoDecomposition gives an adapter the values of another one, on weights of which there is no decomposition.
func TestRestoredValuesNeedNoDecomposition(t *testing.T) {
	for name, cfg := range fromWeights {
		t.Run(name, func(t *testing.T) {
			m := newFake(fakeOptions{})
			first := attach(t, m, cfg)
			perturb(first)
			again := newFake(fakeOptions{})
			a := prepare(t, again, cfg)
			restore(a, values(first))
			if err := a.StartFromWeights(t.Context()); err != nil || a.NeedsWeights() || !reflect.DeepEqual(values(a), values(first)) {
				t.Errorf("the restored adapter started, error %v", err)
			}
			same(t, "restored", outputs(t, again), outputs(t, m), 0)

			broken := newFake(fakeOptions{})
			for _, l := range broken.linears {
				l.Weight.Value.F32[0] = float32(math.NaN())
			}
			b := prepare(t, broken, cfg)
			restore(b, values(first))
			b.Detach()
			if _, err := adapters.Attach(broken, cfg, 1, nil); cfg.Init.Name != "olora" && (err == nil || !strings.Contains(err.Error(), "model.layers.0.self_attn.q_proj: init "+cfg.Init.Name)) {
				t.Errorf("attached to NaN: error %v", err)
			}
		})
	}
}

// TestAStoredAdapterKeepsItsFactorsWhenItStarts: what pissa takes out of the weight is not what the file holds by now.
func TestAStoredAdapterKeepsItsFactorsWhenItStarts(t *testing.T) {
	m := newFake(fakeOptions{})
	a := attach(t, m, fromWeights["pissa"])
	perturb(a)
	want := outputs(t, m)
	dir := filepath.Join(t.TempDir(), "adapter")
	if err := a.Save(dir, formats.Header{}); err != nil {
		t.Fatal(err)
	}
	again := newFake(fakeOptions{})
	b := prepare(t, again, adapters.Config{From: dir})
	if !b.NeedsWeights() {
		t.Error("there is nothing to take out")
	}
	if err := b.StartFromWeights(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "loaded", outputs(t, again), want, 0)
	if n := len(b.Trainables()); !reflect.DeepEqual(values(b)[:n], values(a)[:n]) {
		t.Error("the factors are no longer those of the file")
	}
}

// TestMagnitudesAreThoseOfTheStart: DoRA's lengths are those of the rows of W - X0 + X0, where W - X0 was rounded, not those of W.
func TestMagnitudesAreThoseOfTheStart(t *testing.T) {
	m := newFake(fakeOptions{dtype: kernel.BF16})
	a := attach(t, m, adapters.Config{Type: "dora", Rank: 3, Targets: []string{"q_proj"}, Init: adapters.Init{Name: "pissa"}})
	l, tr := m.linears[0], a.Trainables()
	update := product(tr[1].Param.Value.F32, tr[0].Param.Value.F32, 3)
	for i, got := range tr[2].Param.Value.F32 {
		var squares float64
		for j, w := range l.Weight.Value.Floats()[i*l.In : (i+1)*l.In] {
			v := float64(w) + float64(update[i*l.In+j])
			squares += v * v
		}
		if want := math.Sqrt(squares); math.Abs(float64(got)/want-1) > 1e-6 {
			t.Errorf("row %d: magnitude %v, want %v", i, got, want)
		}
	}
}
