package text

import (
	"fmt"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers/transformer"
)

// program is the compiled graph for batches of one shape, which are copied into its own.
type program struct {
	machine *graph.Machine
	batch   *transformer.Batch
	seed    *kernel.Tensor // gradient of what is minimised with respect to the summed loss; nil without gradients
}

// programs compiles and keeps one program a shape. Two kinds exist: with gradients and without.
type programs struct {
	model      *transformer.Model
	ws         *graph.Workspace
	grads      map[*graph.Param]*kernel.Tensor // where the gradient of each trainable is added
	checkpoint bool
	compiled   map[shape]*program
}

type shape struct {
	rows, length int
	train        bool
}

// get returns the program for batches of b's shape.
func (p *programs) get(b *transformer.Batch, train bool) (*program, error) {
	key := shape{b.IDs.Shape[0], b.IDs.Shape[1], train}
	if prog, ok := p.compiled[key]; ok {
		return prog, nil
	}
	prog, err := p.build(b, train)
	if err != nil {
		return nil, fmt.Errorf("text: compile for %d rows of %d tokens: %w", key.rows, key.length, err)
	}
	p.compiled[key] = prog
	return prog, nil
}

func (p *programs) build(b *transformer.Batch, train bool) (*program, error) {
	g := p.ws.NewEvalGraph()
	if train {
		g = p.ws.NewGraph()
	}
	prog := &program{batch: transformer.NewBatch(b.IDs.Shape[0], b.IDs.Shape[1])}
	out := p.model.Forward(g, prog.batch, transformer.Options{Checkpoint: p.checkpoint && train})
	outputs := []graph.Output{{Node: out.Loss}}
	if train {
		seed, t := g.Input("loss_gradient", kernel.F32, 1)
		prog.seed = t
		var wrt []*graph.Node
		var into []*kernel.Tensor
		for _, param := range g.Params() {
			if dst := p.grads[param]; dst != nil {
				wrt, into = append(wrt, g.Param(param)), append(into, dst)
			}
		}
		for i, n := range g.Gradients(out.Loss, seed, wrt...) {
			outputs = append(outputs, graph.Output{Node: n, Into: into[i], Add: true})
		}
	}
	var err error
	prog.machine, err = g.Compile(outputs...)
	return prog, err
}

// run executes the program on b and returns the summed loss.
func (p *program) run(b *transformer.Batch) (float64, error) {
	copy(p.batch.IDs.I32, b.IDs.I32)
	copy(p.batch.Positions.I32, b.Positions.I32)
	copy(p.batch.Segments.I32, b.Segments.I32)
	copy(p.batch.Targets.I32, b.Targets.I32)
	if err := p.machine.RunAll(); err != nil {
		return 0, err
	}
	return float64(p.machine.Output(0).F32[0]), nil
}
