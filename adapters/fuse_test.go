package adapters_test

import (
	"math"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
)

// TestFuseIsTheDenseFormula compares fused weights with the definition, element by element in float64.
func TestFuseIsTheDenseFormula(t *testing.T) {
	for _, inOut := range []bool{false, true} {
		for _, kind := range []string{"lora", "dora"} {
			m := newFake(fakeOptions{inOut: inOut})
			l := m.linears[3] // down_proj: 12 inputs, 8 outputs
			a := attach(t, m, adapters.Config{Type: kind, Rank: 3, Alpha: 5, Targets: []string{l.Name}})
			perturb(a)
			want := denseUpdate(l, a)
			if _, err := adapters.Fuse(a); err != nil {
				t.Fatal(err)
			}
			for i := range l.Out {
				for j := range l.In {
					if got := float64(at(l, l.Weight.Value.F32, i, j)); math.Abs(got-want[i][j]) > 1e-6*(1+math.Abs(want[i][j])) {
						t.Fatalf("%s, in×out %v: element (%d,%d) is %v, want %v", kind, inOut, i, j, got, want[i][j])
					}
				}
			}
		}
	}
}

// at returns the element for output i and input j.
func at(l *layers.Linear, w []float32, i, j int) float32 {
	if l.InOut {
		return w[j*l.Out+i]
	}
	return w[i*l.In+j]
}

func denseUpdate(l *layers.Linear, a *adapters.Adapter) [][]float64 {
	tr := a.Trainables()
	fa, fb := tr[0].Param.Value, tr[1].Param.Value
	r := fa.Shape[0]
	out := make([][]float64, l.Out)
	for i := range out {
		out[i] = make([]float64, l.In)
		var squares float64
		for j := range out[i] {
			v := float64(at(l, l.Weight.Value.F32, i, j))
			for k := range r {
				v += 5.0 / 3 * float64(fb.F32[i*r+k]) * float64(fa.F32[k*l.In+j])
			}
			out[i][j] = v
			squares += v * v
		}
		if len(tr) == 3 { // DoRA
			for j := range out[i] {
				out[i][j] *= float64(tr[2].Param.Value.F32[i]) / math.Sqrt(squares)
			}
		}
	}
	return out
}

func TestFuseKeepsTheStorageTypeAndReportsWhatRoundingLost(t *testing.T) {
	m := newFake(fakeOptions{dtype: kernel.BF16})
	a := attach(t, m, adapters.Config{Rank: 2, Bias: "all", ModulesToSave: []string{"lm_head"}, Targets: []string{"q_proj"}})
	perturb(a)
	report, err := adapters.Fuse(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.params {
		if p.Value.DType != kernel.BF16 || p.Trainable {
			t.Errorf("%s is %v, trainable %v", p.Name, p.Value.DType, p.Trainable)
		}
	}
	changed := map[string]adapters.Fused{}
	for _, c := range report.Changed {
		changed[c.Name] = c
		if c.MaxDelta <= 0 || c.MaxDelta > report.MaxDelta || c.Norm <= 0 || c.Lost <= 0 || c.Lost > 0.5 {
			t.Errorf("report %+v", c)
		}
	}
	for _, name := range []string{l0 + "self_attn.q_proj.weight", l1 + "self_attn.q_proj.bias", l0 + "input_layernorm.bias", "lm_head.weight"} {
		if _, ok := changed[name]; !ok {
			t.Errorf("%s is not reported as changed", name)
		}
	}
}

func TestFuseAddsBothBiases(t *testing.T) {
	m := newFake(fakeOptions{})
	l := m.linears[0]
	a := attach(t, m, adapters.Config{Rank: 2, Alpha: 6, Bias: "lora_only", LoRABias: true, Targets: []string{l.Name}})
	perturb(a)
	tr := a.Trainables()
	trained, ofB := tr[3].Param.Value.F32, tr[2].Param.Value.F32
	if _, err := adapters.Fuse(a); err != nil {
		t.Fatal(err)
	}
	for i, v := range l.Bias.Value.F32 {
		if want := trained[i] + 3*ofB[i]; v != want {
			t.Errorf("bias %d is %v, want %v", i, v, want)
		}
	}
}

func TestFuseRefusesABiasWithoutPlace(t *testing.T) {
	m := newFake(fakeOptions{})
	a := attach(t, m, adapters.Config{LoRABias: true, Targets: []string{"v_proj"}})
	before := m.snapshot()
	_, err := adapters.Fuse(a)
	if err == nil || !strings.Contains(err.Error(), "lora_bias") {
		t.Errorf("error %v", err)
	}
	if m.snapshot() != before {
		t.Error("a refused fuse changed the model")
	}
}

func TestFuseOfEmbeddingAddsTransposedProduct(t *testing.T) {
	m := newFake(fakeOptions{})
	e := m.embeddings[0]
	before := e.Weight.Value.Floats()
	a := attach(t, m, adapters.Config{Rank: 2, Alpha: 4, Targets: []string{"embed_tokens"}})
	perturb(a)
	fa, fb := a.Trainables()[0].Param.Value.F32, a.Trainables()[1].Param.Value.F32
	if _, err := adapters.Fuse(a); err != nil {
		t.Fatal(err)
	}
	for id := range e.Num {
		for d := range e.Dim {
			want := float64(before[id*e.Dim+d])
			for k := range 2 {
				want += 2 * float64(fb[d*2+k]) * float64(fa[k*e.Num+id])
			}
			if got := float64(e.Weight.Value.F32[id*e.Dim+d]); math.Abs(got-want) > 1e-6 {
				t.Errorf("row %d, column %d: %v, want %v", id, d, got, want)
			}
		}
	}
}

func TestFuseOfFullTrainingKeepsTiedWeights(t *testing.T) {
	m := newFake(fakeOptions{tied: true, dtype: kernel.BF16})
	a := attach(t, m, adapters.Config{Type: "full"})
	perturb(a)
	if _, err := adapters.Fuse(a); err != nil {
		t.Fatal(err)
	}
	var p *graph.Param = m.output.Weight
	if p != m.embeddings[0].Weight || p.Value.DType != kernel.BF16 {
		t.Error("the output layer is no longer tied, or not stored as before")
	}
}
