package adapters_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
)

// trajectory is a training run of the reference on one fixed batch.
type trajectory struct {
	reference
	LRs       []float64
	Clip      float64 `json:"clip_grad_norm"`
	Optimizer struct {
		Type        string
		WeightDecay float64 `json:"weight_decay"`
	}
}

// start reads the adapter that the run begins with, which is a bare file where all weights are trained.
func (r *trajectory) start(t *testing.T, m *transformer.Model) *adapters.Adapter {
	t.Helper()
	path := filepath.Join(r.dir, "adapter")
	if !fileExists(path) {
		path += ".safetensors"
	}
	f, err := formats.Read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := adapters.AttachFile(m, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (r *trajectory) optimizer(t *testing.T, a *adapters.Adapter) *optim.Optimizer {
	t.Helper()
	name := strings.ToLower(strings.TrimPrefix(r.Optimizer.Type, "torch.optim."))
	rule, err := optim.NewRule(name)
	if err != nil {
		t.Fatal(err)
	}
	o, err := optim.New(rule, a.Points(), optim.Config{WeightDecay: r.Optimizer.WeightDecay, ClipGradNorm: r.Clip})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestTrajectoriesOfPEFT trains as the reference did and compares loss and gradient norm of every step and the values at the end.
func TestTrajectoriesOfPEFT(t *testing.T) {
	const (
		lossWithin  = 1e-5 // relative; the distance grows over the steps
		valueWithin = 1e-5 // relative in the Frobenius norm
	)
	for _, name := range []string{"traj_llama_lora", "traj_llama_lora_cosine", "traj_llama_sgd", "traj_llama_dora", "traj_gpt2_lora", "traj_gpt2_full"} {
		t.Run(name, func(t *testing.T) {
			r := &trajectory{reference: *readReference(t, name)}
			text, err := os.ReadFile(filepath.Join(r.dir, "case.json"))
			if err == nil {
				err = json.Unmarshal(text, r)
			}
			if err != nil {
				t.Fatal(err)
			}
			m, b := r.model(t), r.batch(t)
			a := r.start(t, m)
			want := tensors(t, filepath.Join(r.dir, "expected.safetensors"))
			losses, norms := train(t, m, b, a, r.optimizer(t, a), r.LRs)
			for i := range r.LRs {
				if d := math.Abs(losses[i]-float64(want["loss"].Values[i])) / losses[i]; d > lossWithin {
					t.Errorf("step %d: loss %v, want %v", i, losses[i], want["loss"].Values[i])
				}
				if d := math.Abs(norms[i]-float64(want["grad_norm"].Values[i])) / norms[i]; d > 10*lossWithin {
					t.Errorf("step %d: gradient norm %v, want %v", i, norms[i], want["grad_norm"].Values[i])
				}
			}
			compareFinal(t, a, tensors(t, filepath.Join(r.dir, "final.safetensors")), valueWithin)
		})
	}
}

func compareFinal(t *testing.T, a *adapters.Adapter, want map[string]formats.Tensor, within float64) {
	t.Helper()
	worst := 0.0
	for _, tr := range a.Trainables() {
		off := relative(withoutKeyBias(tr.Key, tr.Param.Value.F32), withoutKeyBias(tr.Key, want[tr.Key].Values))
		if off > within {
			t.Errorf("%s ends off by %.1e", tr.Key, off)
		}
		worst = max(worst, off)
	}
	t.Logf("final values off by at most %.1e", worst)
}

// withoutKeyBias leaves out the middle third of GPT-2's fused bias: softmax does not see what is added to all keys, so that its
// gradient is rounding noise, which Adam turns into steps of full length.
func withoutKeyBias(key string, v []float32) []float32 {
	if !strings.HasSuffix(key, "attn.c_attn.bias") {
		return v
	}
	n := len(v) / 3
	return append(append([]float32{}, v[:n]...), v[2*n:]...)
}

// train runs one step for each learning rate and returns loss and gradient norm before each.
func train(t *testing.T, m *transformer.Model, b *transformer.Batch, a *adapters.Adapter, o *optim.Optimizer, lrs []float64) (losses, norms []float64) {
	t.Helper()
	g := graph.NewWorkspace().NewGraph()
	out := m.Forward(g, b, transformer.Options{})
	seed, value := g.Input("seed", kernel.F32, 1)
	count := float32(b.TargetCount())
	value.F32[0] = 1 / count
	outputs := []graph.Output{{Node: out.Loss}}
	var wrt []*graph.Node
	for _, p := range a.Params() {
		wrt = append(wrt, g.Param(p))
	}
	for i, n := range g.Gradients(out.Loss, seed, wrt...) {
		outputs = append(outputs, graph.Output{Node: n, Into: a.Trainables()[i].Grad})
	}
	machine, err := g.Compile(outputs...)
	if err != nil {
		t.Fatal(err)
	}
	for _, lr := range lrs {
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		losses = append(losses, float64(machine.Output(0).F32[0]/count))
		stats, err := o.Step(lr)
		if err != nil {
			t.Fatal(err)
		}
		norms = append(norms, stats.GradNorm)
	}
	return losses, norms
}
