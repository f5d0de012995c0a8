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
	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers/transformer"
)

// withinNoise is how many times the distance between the reference's own float32 and float64 runs a result may be off.
const withinNoise = 10

// exactWeights bounds the relative distance of weights that take a few float32 operations. PiSSA's start rests on an SVD that PEFT
// computes in float32, so that its weights are no better than the noise.
const exactWeights = 1e-6

func (r *reference) weightsWithin() float64 {
	if strings.Contains(r.dir, "pissa") {
		return withinNoise * r.Noise.Outputs.Rel
	}
	return exactWeights
}

// reference is one case computed by PEFT.
type reference struct {
	dir   string
	Base  string `json:"base"`
	Noise struct {
		Grads, Outputs struct {
			Rel float64 `json:"max_rel_fro"`
		}
	} `json:"noise"`
}

func readReference(t testing.TB, name string) *reference {
	t.Helper()
	r := &reference{dir: goldens.Case(t, name)}
	text, err := os.ReadFile(filepath.Join(r.dir, "case.json"))
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *reference) model(t testing.TB) *transformer.Model {
	t.Helper()
	m, err := transformer.Open(filepath.Join(r.dir, r.Base))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// adapter reads the stored adapter, with what PEFT's own save leaves out.
func (r *reference) adapter(t testing.TB) *formats.Adapter {
	t.Helper()
	f, err := formats.Read(filepath.Join(r.dir, "adapter"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if path := filepath.Join(r.dir, "unsaved.safetensors"); fileExists(path) {
		for name, v := range tensors(t, path) {
			f.Tensors[strings.TrimPrefix(name, formats.Prefix)] = v
		}
	}
	return f
}

func fileExists(path string) bool { _, err := os.Stat(path); return err == nil }

// tensors reads the floating-point tensors of a file.
func tensors(t testing.TB, path string) map[string]formats.Tensor {
	t.Helper()
	set, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	out := map[string]formats.Tensor{}
	for _, name := range set.Names() {
		info, _ := set.Info(name)
		if !info.DType.IsFloat() {
			continue
		}
		v, err := set.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = formats.NewTensor(v, append([]int{}, info.Shape...)...)
	}
	return out
}

// batch reads the inputs of the forward pass.
func (r *reference) batch(t testing.TB) *transformer.Batch {
	t.Helper()
	set, err := safetensors.Open(filepath.Join(r.dir, "inputs.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ints := func(name string) []int32 {
		v, err := set.Int32(name)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	info, _ := set.Info("input_ids")
	b := transformer.NewBatch(info.Shape[0], info.Shape[1])
	copy(b.IDs.I32, ints("input_ids"))
	copy(b.Segments.I32, ints("attention_mask"))
	b.SetLabels(ints("labels"))
	return b
}

// results of one pass; Logits are zero at padded positions, where the treatment of fully masked rows differs.
type results struct {
	logits []float32
	loss   float64
	grads  map[string][]float32
}

// run evaluates the model, with the gradients of everything trained when an adapter is given.
func run(t testing.TB, m *transformer.Model, b *transformer.Batch, a *adapters.Adapter) results {
	t.Helper()
	g := graph.NewWorkspace().NewGraph()
	out := m.Forward(g, b, transformer.Options{NeedLogits: true})
	var r results
	machine := r.compute(t, g, out, b, a)
	r.logits = masked(machine.Output(1).F32, b)
	return r
}

// runLoss is run as a training step does it: blocks recomputed, and the logits never whole where the output layer allows it.
func runLoss(t testing.TB, m *transformer.Model, b *transformer.Batch, a *adapters.Adapter) (r results) {
	t.Helper()
	g := graph.NewWorkspace().NewGraph()
	r.compute(t, g, m.Forward(g, b, transformer.Options{Checkpoint: true}), b, a)
	return r
}

// compute runs the graph of a forward pass with the gradients of the mean loss and returns the machine; its outputs are the loss and,
// where there are any, the logits.
func (r *results) compute(t testing.TB, g *graph.Graph, out transformer.Outputs, b *transformer.Batch, a *adapters.Adapter) *graph.Machine {
	t.Helper()
	outputs := []graph.Output{{Node: out.Loss}}
	if out.Logits != nil {
		outputs = append(outputs, graph.Output{Node: out.Logits})
	}
	r.grads = map[string][]float32{}
	if a != nil {
		outputs = append(outputs, gradients(g, out.Loss, b, a.Trainables())...)
		for _, tr := range a.Trainables() {
			r.grads[tr.Key] = tr.Grad.F32
		}
	}
	machine, err := g.Compile(outputs...)
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	r.loss = float64(machine.Output(0).F32[0]) / float64(b.TargetCount())
	return machine
}

// gradients adds the gradients of the mean loss with respect to what is trained, each into its tensor.
func gradients(g *graph.Graph, loss *graph.Node, b *transformer.Batch, trained []*adapters.Trainable) (outputs []graph.Output) {
	seed, value := g.Input("seed", kernel.F32, 1)
	value.F32[0] = 1 / float32(b.TargetCount())
	var wrt []*graph.Node
	for _, tr := range trained {
		wrt = append(wrt, g.Param(tr.Param))
	}
	for i, n := range g.Gradients(loss, seed, wrt...) {
		outputs = append(outputs, graph.Output{Node: n, Into: trained[i].Grad})
	}
	return outputs
}

func masked(logits []float32, b *transformer.Batch) []float32 {
	out := append([]float32{}, logits...)
	width := len(out) / len(b.Segments.I32)
	for i, s := range b.Segments.I32 {
		if s == 0 {
			clear(out[i*width : (i+1)*width])
		}
	}
	return out
}

// relative returns |got-want|/|want| in the Frobenius norm.
func relative(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff, norm = diff+d*d, norm+float64(w)*float64(w)
	}
	if norm == 0 {
		return math.Sqrt(diff)
	}
	return math.Sqrt(diff / norm)
}

var loraCases = []string{
	"gpt2_lora_all", "gpt2_lora_attn", "gpt2_lora_dora", "llama3_lora_bbias", "llama3_lora_bias_lora", "llama_lora_all",
	"llama_lora_alllinear", "llama_lora_dora", "llama_lora_embed", "llama_lora_layers", "llama_lora_patterns", "llama_lora_pissa",
	"llama_lora_qv", "llama_lora_rslora", "llama_lora_save_head", "qwen2_lora_all",
}

// TestParityWithPEFT attaches every stored adapter and compares outputs, loss, all gradients, fused weights and the fused model's
// outputs with those of PEFT.
func TestParityWithPEFT(t *testing.T) {
	for _, name := range loraCases {
		t.Run(name, func(t *testing.T) {
			r := readReference(t, name)
			m, b := r.model(t), r.batch(t)
			a, err := adapters.AttachFile(m, r.adapter(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			got := run(t, m, b, a)
			r.compareGrads(t, runLoss(t, m, b, a))
			out := r.compareOutputs(t, "expected.safetensors", got, b)
			grad := r.compareGrads(t, got)
			fused := r.compareFused(t, m, a)
			r.compareOutputs(t, "merged_expected.safetensors", run(t, m, b, nil), b)
			t.Logf("outputs %.1f, gradients %.1f times the noise; fused weights off by %.1e", out, grad, fused)
		})
	}
}

// compareOutputs returns the distance of the logits in units of the noise.
func (r *reference) compareOutputs(t *testing.T, file string, got results, b *transformer.Batch) float64 {
	t.Helper()
	want := tensors(t, filepath.Join(r.dir, file))
	off := relative(got.logits, masked(want["logits"].Values, b)) / r.Noise.Outputs.Rel
	if off > withinNoise {
		t.Errorf("%s: logits are off by %.1f times the noise", file, off)
	}
	loss := float64(want["loss"].Values[0])
	if d := math.Abs(got.loss-loss) / loss; d > withinNoise*r.Noise.Outputs.Rel {
		t.Errorf("%s: loss %v, want %v", file, got.loss, loss)
	}
	return off
}

// compareGrads returns the largest distance of a gradient in units of the noise.
func (r *reference) compareGrads(t *testing.T, got results) (worst float64) {
	t.Helper()
	want := tensors(t, filepath.Join(r.dir, "grads.safetensors"))
	if len(want) != len(got.grads) {
		t.Errorf("%d gradients, want %d", len(got.grads), len(want))
	}
	for key, w := range want {
		off := relative(got.grads[key], w.Values) / r.Noise.Grads.Rel
		if off > withinNoise {
			t.Errorf("gradient of %s is off by %.1f times the noise", key, off)
		}
		worst = max(worst, off)
	}
	return worst
}

// compareFused fuses the adapter and returns the largest relative distance of a weight.
func (r *reference) compareFused(t *testing.T, m *transformer.Model, a *adapters.Adapter) (worst float64) {
	t.Helper()
	before := map[string][]float32{}
	for _, p := range m.Params() {
		before[p.Name] = append([]float32{}, p.Value.Floats()...)
	}
	if _, err := adapters.Fuse(a); err != nil {
		t.Fatal(err)
	}
	want := tensors(t, filepath.Join(r.dir, "merged.safetensors"))
	for _, p := range m.Params() {
		w, changed := want[p.Name]
		if !changed {
			w.Values = before[p.Name]
		}
		off := relative(p.Value.Floats(), w.Values)
		if off > r.weightsWithin() {
			t.Errorf("fused %s is off by %.1e", p.Name, off)
		}
		worst = max(worst, off)
	}
	return worst
}

// TestInitMatchesPEFT attaches a new adapter with the settings of the stored one and compares the start: the base weights, the
// products B·A (factors of an SVD are free up to signs) and the magnitudes.
func TestInitMatchesPEFT(t *testing.T) {
	for _, name := range []string{"llama_lora_pissa", "llama_lora_dora", "gpt2_lora_dora"} {
		t.Run(name, func(t *testing.T) {
			r := readReference(t, name)
			m := r.model(t)
			file := r.adapter(t)
			l := file.Settings.(*formats.LoRA)
			cfg := adapters.Config{Type: "lora", Rank: l.Rank, Alpha: l.Alpha, Targets: l.Targets, Init: adapters.Init{Name: l.Init}}
			if l.DoRA {
				cfg.Type = "dora"
			}
			a := attach(t, m, cfg)
			want := tensors(t, filepath.Join(r.dir, "init.safetensors"))
			for _, layer := range m.Linears() {
				if w, ok := want["base."+layer.Name+".weight"]; ok {
					if off := relative(layer.Weight.Value.Floats(), w.Values); off > r.weightsWithin() {
						t.Errorf("base weight of %s is off by %.1e", layer.Name, off)
					}
				}
			}
			compareStart(t, a, want, l.Init == "pissa")
		})
	}
}

func compareStart(t *testing.T, a *adapters.Adapter, want map[string]formats.Tensor, products bool) {
	t.Helper()
	tr := a.Trainables()
	for i, x := range tr {
		w := want[x.Key].Values
		switch {
		case strings.HasSuffix(x.Key, formats.KindMagnitude):
			if off := relative(x.Param.Value.F32, w); off > exactWeights {
				t.Errorf("%s is off by %.1e", x.Key, off)
			}
		case strings.HasSuffix(x.Key, formats.KindB) && products:
			key := tr[i-1].Key
			got := product(x.Param.Value.F32, tr[i-1].Param.Value.F32, tr[i-1].Param.Value.Shape[0])
			if off := relative(got, product(w, want[key].Values, tr[i-1].Param.Value.Shape[0])); off > 1e-5 {
				t.Errorf("product B·A at %s is off by %.1e", x.Key, off)
			}
		}
	}
}

// product returns B·A for B (out,r) and A (r,in).
func product(b, a []float32, r int) []float32 {
	out, in := len(b)/r, len(a)/r
	x := make([]float32, out*in)
	for i := range out {
		for j := range in {
			var sum float64
			for k := range r {
				sum += float64(b[i*r+k]) * float64(a[k*in+j])
			}
			x[i*in+j] = float32(sum)
		}
	}
	return x
}
