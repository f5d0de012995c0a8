package transformer

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/internal/safetensors"
)

// decoderCases are the reference cases of plain causal language models.
var decoderCases = []string{"llama_base", "llama3_base", "mistral_base", "qwen2_base", "gemma_base", "gpt2_base", "gpt_neox_base"}

// noise is the distance of the reference's float32 run from its float64 run.
type noise struct {
	MaxRelFro float64 `json:"max_rel_fro"`
}

// golden is a reference case.
type golden struct {
	dir   string
	Noise struct{ Grads, Outputs noise }
	Loss  float64 `json:"loss_f64"`
}

func readGolden(t testing.TB, name string) *golden {
	t.Helper()
	g := &golden{dir: goldens.Case(t, name)}
	data, err := os.ReadFile(filepath.Join(g.dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *golden) open(t testing.TB, file string) *safetensors.Set {
	t.Helper()
	set, err := safetensors.Open(filepath.Join(g.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

func (g *golden) floats(t testing.TB, set *safetensors.Set, name string) []float32 {
	t.Helper()
	v, err := set.Float32(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (g *golden) model(t testing.TB) *Model {
	t.Helper()
	return openModel(t, filepath.Join(g.dir, "model"))
}

func openModel(t testing.TB, dir string) *Model {
	t.Helper()
	m, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// batch returns the case's inputs as probe would read them.
func (g *golden) batch(t testing.TB) *Batch {
	t.Helper()
	in := g.open(t, "inputs.safetensors")
	info, ok := in.Info("input_ids")
	if !ok {
		t.Fatal("the case has no input_ids")
	}
	b := NewBatch(info.Shape[0], info.Shape[1])
	for name, dst := range map[string]*kernel.Tensor{"input_ids": b.IDs, "attention_mask": b.Segments} {
		v, err := in.Int32(name)
		if err != nil {
			t.Fatal(err)
		}
		copy(dst.I32, v)
	}
	labels, err := in.Int32("labels")
	if err != nil {
		t.Fatal(err)
	}
	b.SetLabels(labels)
	return b
}

// result holds the values of a forward and backward pass.
type result struct {
	logits *kernel.Tensor // nil unless asked for
	loss   float64        // mean over the targets
	hidden []*kernel.Tensor
	grads  map[string]*kernel.Tensor
	batch  *Batch
}

// run computes outputs and the gradient of the mean loss for all trainable parameters.
func run(t testing.TB, m *Model, b *Batch, opt Options) *result {
	t.Helper()
	g := graph.NewWorkspace().NewGraph()
	out := m.Forward(g, b, opt)
	seed := kernel.New(1)
	seed.F32[0] = 1 / float32(b.TargetCount())
	want := []graph.Output{{Node: out.Loss}}
	if out.Logits != nil && opt.NeedLogits {
		want = append(want, graph.Output{Node: out.Logits})
	}
	if !opt.Checkpoint {
		for _, h := range out.Hidden {
			want = append(want, graph.Output{Node: h})
		}
	}
	heads := len(want)
	var trained []*graph.Param
	var nodes []*graph.Node
	for _, p := range g.Params() {
		if p.Trainable {
			trained, nodes = append(trained, p), append(nodes, g.Param(p))
		}
	}
	if len(nodes) > 0 {
		for _, n := range g.Gradients(out.Loss, g.Leaf("seed", seed), nodes...) {
			want = append(want, graph.Output{Node: n})
		}
	}
	machine, err := g.Compile(want...)
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	r := &result{batch: b, loss: float64(machine.Output(0).F32[0]) / float64(b.TargetCount()), grads: map[string]*kernel.Tensor{}}
	at := 1
	if opt.NeedLogits {
		r.logits = machine.Output(1)
		at = 2
	}
	for ; at < heads; at++ {
		r.hidden = append(r.hidden, machine.Output(at))
	}
	for i, p := range trained {
		r.grads[p.Name] = machine.Output(heads + i)
	}
	return r
}

func all(string) bool { return true }

// trainAll makes every parameter trainable.
func trainAll(t testing.TB, m *Model) *Model {
	t.Helper()
	if err := m.MakeTrainable(all); err != nil {
		t.Fatal(err)
	}
	return m
}

// distance returns the relative Frobenius norm of the difference of got and want, over the rows of tokens that are no padding; nil
// segments take all.
func distance(got, want []float32, segments []int32) float64 {
	var diff, norm float64
	width := len(got)
	if segments != nil {
		width /= len(segments)
	}
	for i, w := range want {
		if segments != nil && segments[i/width] == 0 {
			continue
		}
		d := float64(got[i]) - float64(w)
		diff += d * d
		norm += float64(w) * float64(w)
	}
	if norm == 0 {
		return math.Sqrt(diff)
	}
	return math.Sqrt(diff / norm)
}

// randomModel returns a model of a config text with seeded weights.
func randomModel(t testing.TB, config string) *Model {
	t.Helper()
	c, err := ParseConfig("config.json", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Random(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ramp fills a batch with ids that vary, and targets the next id.
func ramp(b *Batch, vocab int) *Batch {
	labels := make([]int32, len(b.IDs.I32))
	for i := range labels {
		labels[i] = int32((i*7 + i*i*3 + 1) % vocab)
	}
	copy(b.IDs.I32, labels)
	b.SetLabels(labels)
	return b
}
