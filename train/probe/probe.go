// Package probe computes the numbers of one forward and backward pass, for comparison with another implementation.
package probe

import (
	"fmt"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train/text"
)

// Result holds what a batch gives.
type Result struct {
	// Logits is F32 [B,T,vocabulary].
	Logits *kernel.Tensor
	// Loss is the mean cross-entropy over the targets of the batch. Without targets, HasLoss is false.
	Loss    float32
	HasLoss bool
	// Gradients are those of Loss with respect to what was asked for, by key.
	Gradients []Gradient
}

// Gradient is the gradient of the loss with respect to one trained tensor.
type Gradient struct {
	Key   string
	Value *kernel.Tensor
}

// Compute runs the model with its adapters on the batch and, where trained is not empty, back. The gradients are in the tensors
// Grad of trained; a tensor that the batch does not reach gets a zero gradient.
func Compute(m *transformer.Model, b *text.Batch, trained []*adapters.Trainable) (*Result, error) {
	if err := check(m, b, len(trained) > 0); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	ws := graph.NewWorkspace()
	g := ws.NewEvalGraph()
	if len(trained) > 0 {
		g = ws.NewGraph()
	}
	out := m.Forward(g, b.Batch, transformer.Options{NeedLogits: true, Positions: positions(b)})
	outputs := []graph.Output{{Node: out.Logits}, {Node: out.Loss}}
	outputs = append(outputs, gradients(g, out.Loss, trained, 1/float32(max(1, b.Targets())))...)
	machine, err := g.Compile(outputs...)
	if err == nil {
		err = machine.RunAll()
	}
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	r := &Result{Logits: machine.Output(0)}
	if n := b.Targets(); n > 0 {
		r.Loss, r.HasLoss = machine.Output(1).F32[0]/float32(n), true
	}
	for _, t := range trained {
		r.Gradients = append(r.Gradients, Gradient{t.Key, t.Grad})
	}
	return r, nil
}

// gradients adds the backward pass for what the graph uses of trained and clears the gradients of the rest.
func gradients(g *graph.Graph, loss *graph.Node, trained []*adapters.Trainable, seed float32) []graph.Output {
	if len(trained) == 0 || g.Err() != nil {
		return nil
	}
	used := map[*graph.Param]bool{}
	for _, p := range g.Params() {
		used[p] = true
	}
	var wrt []*graph.Node
	var outputs []graph.Output
	for _, t := range trained {
		if !used[t.Param] {
			clear(t.Grad.F32)
			continue
		}
		wrt = append(wrt, g.Param(t.Param))
		outputs = append(outputs, graph.Output{Into: t.Grad})
	}
	node, value := g.Input("loss_gradient", kernel.F32, 1)
	value.F32[0] = seed
	for i, n := range g.Gradients(loss, node, wrt...) {
		outputs[i].Node = n
	}
	return outputs
}

// positions returns one more than the largest position of the batch.
func positions(b *text.Batch) int {
	n := 0
	for _, p := range b.Positions.I32 {
		n = max(n, int(p)+1)
	}
	return n
}

// check makes sure that every number of the batch means something to the model.
func check(m *transformer.Model, b *text.Batch, backward bool) error {
	vocab := m.Config.VocabSize
	for i, id := range b.IDs.I32 {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("input_ids: element %d is %d, expected 0 to %d", i, id, vocab-1)
		}
	}
	for i, id := range b.Batch.Targets.I32 {
		if id != transformer.Ignored && (id < 0 || int(id) >= vocab) {
			return fmt.Errorf("labels: element %d is %d, expected 0 to %d, or %d where there is none", i+1, id, vocab-1, transformer.Ignored)
		}
	}
	limit := max(m.Config.MaxPositions, b.IDs.Shape.Last())
	for i, p := range b.Positions.I32 {
		if p < 0 || int(p) >= limit {
			return fmt.Errorf("position_ids: element %d is %d, expected 0 to %d", i, p, limit-1)
		}
	}
	if backward && b.Targets() == 0 {
		return fmt.Errorf("gradients need a loss, but the inputs have no labels, or only %d", transformer.Ignored)
	}
	return nil
}

// Write stores the result in a safetensors file: logits, loss (1 element) where there is one, and grad.<key> for each gradient.
func (r *Result) Write(path string) error {
	tensors := []safetensors.Tensor{floats("logits", r.Logits)}
	if r.HasLoss {
		tensors = append(tensors, safetensors.Floats("loss", safetensors.F32, []int{1}, []float32{r.Loss}))
	}
	for _, g := range r.Gradients {
		tensors = append(tensors, floats("grad."+g.Key, g.Value))
	}
	if err := safetensors.Write(path, tensors, nil); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}

func floats(name string, t *kernel.Tensor) safetensors.Tensor {
	return safetensors.Floats(name, safetensors.F32, t.Shape, t.F32)
}
