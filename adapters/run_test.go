package adapters_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers/transformer"
)

// TestFullTrainsEveryWeight compares the gradients of full fine-tuning with those of transformers; a tied weight has one.
func TestFullTrainsEveryWeight(t *testing.T) {
	for _, name := range []string{"llama_base", "gpt2_base"} {
		t.Run(name, func(t *testing.T) {
			r := readReference(t, name)
			r.Base = "model"
			m, b := r.model(t), r.batch(t)
			a := attach(t, m, adapters.Config{Type: "full"})
			got := run(t, m, b, a)
			r.compareOutputs(t, "expected.safetensors", got, b)
			r.compareGrads(t, got)
		})
	}
}

// TestPlainWeightsAttachAsFull starts full fine-tuning from a file of weights.
func TestPlainWeightsAttachAsFull(t *testing.T) {
	r := readReference(t, "traj_gpt2_full")
	m, b := r.model(t), r.batch(t)
	f, err := formats.Read(filepath.Join(r.dir, "adapter.safetensors"), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := adapters.AttachFile(m, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := tensors(t, filepath.Join(r.dir, "expected.safetensors"))["loss"].Values[0]
	if got := run(t, m, b, a).loss; relative([]float32{float32(got)}, []float32{want}) > 1e-6 {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// TestLoRABiasAllTrainsNormsToo compares bias: all on GPT-2, whose norms have biases, with the biases of the full gradient.
func TestLoRABiasAllTrainsNormsToo(t *testing.T) {
	r := readReference(t, "gpt2_base")
	r.Base = "model"
	m, b := r.model(t), r.batch(t)
	a := attach(t, m, adapters.Config{Targets: []string{"c_attn"}, Bias: "all"}) // B is zero: the model is the base
	got := run(t, m, b, a).grads
	n := 0
	for name, want := range tensors(t, filepath.Join(r.dir, "grads.safetensors")) {
		if !strings.HasSuffix(name, ".bias") {
			continue
		}
		n++
		key := formats.Prefix + name
		if strings.HasSuffix(name, "c_attn.bias") {
			key = formats.Prefix + strings.TrimSuffix(name, "bias") + "base_layer.bias"
		}
		if off := relative(got[key], want.Values); off > withinNoise*r.Noise.Grads.Rel {
			t.Errorf("gradient of %s is off by %.1e", key, off)
		}
	}
	if want := 2*2 + n; n == 0 || len(got) != want {
		t.Errorf("%d gradients, want %d", len(got), want)
	}
}

// dropoutRun evaluates llama_lora_qv with dropout at a step of the run.
func dropoutRun(t *testing.T, m *transformer.Model, b *transformer.Batch, eval, checkpoint bool) []float32 {
	t.Helper()
	ws := graph.NewWorkspace()
	g := ws.NewGraph()
	if eval {
		g = ws.NewEvalGraph()
	}
	out := m.Forward(g, b, transformer.Options{NeedLogits: true, Checkpoint: checkpoint})
	machine, err := g.Compile(graph.Output{Node: out.Logits})
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(machine.Output(0).F32)
}

func TestDropoutIsOnInTrainingAloneAndFollowsTheRunsRandomState(t *testing.T) {
	r := readReference(t, "llama_lora_qv")
	m, b := r.model(t), r.batch(t)
	rng := kernel.NewI32(4)
	a, err := adapters.Attach(m, adapters.Config{From: filepath.Join(r.dir, "adapter"), Dropout: 0.5}, 1, rng)
	if err != nil {
		t.Fatal(err)
	}
	plain := dropoutRun(t, m, b, true, false)
	first := dropoutRun(t, m, b, false, false)
	if slices.Equal(first, plain) {
		t.Error("training is as without dropout")
	}
	if !slices.Equal(dropoutRun(t, m, b, false, false), first) || !slices.Equal(dropoutRun(t, m, b, false, true), first) {
		t.Error("the same random state gives another result")
	}
	rng.I32[2]++ // the next step
	if slices.Equal(dropoutRun(t, m, b, false, false), first) {
		t.Error("the next step drops the same values")
	}
	a.Detach()
	if a, err = adapters.Attach(m, adapters.Config{From: filepath.Join(r.dir, "adapter"), Dropout: 0.5}, 1, nil); err != nil {
		t.Fatal(err)
	}
	defer a.Detach()
	if got := dropoutRun(t, m, b, false, false); relative(got, plain) > 1e-6 {
		t.Error("without a random state dropout is on")
	}
}

// TestModulesDropDifferentValues: two layers that are equal in everything but their names drop different inputs.
func TestModulesDropDifferentValues(t *testing.T) {
	m := newFake(fakeOptions{})
	a, err := adapters.Attach(m, adapters.Config{Dropout: 0.5, Rank: 2, Targets: []string{"up_proj"}}, 1, kernel.NewI32(4))
	if err != nil {
		t.Fatal(err)
	}
	perturb(a)
	tr := a.Trainables()
	copy(tr[2].Param.Value.F32, tr[0].Param.Value.F32)
	copy(tr[3].Param.Value.F32, tr[1].Param.Value.F32)
	copy(m.linears[6].Weight.Value.F32, m.linears[2].Weight.Value.F32)
	g := graph.NewWorkspace().NewGraph()
	x, values := g.Input("x", kernel.F32, 1, 4, fakeWidth)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range values.F32 {
		values.F32[i] = float32(random.NormFloat64())
	}
	machine, err := g.Compile(graph.Output{Node: m.linears[2].Apply(g, x)}, graph.Output{Node: m.linears[6].Apply(g, x)})
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(machine.Output(0).F32, machine.Output(1).F32) {
		t.Error("both drop the same values")
	}
}
