package run

import (
	"fmt"
	"io"
	"strings"

	"github.com/geotune/geotune/internal/rss"
	"github.com/geotune/geotune/train/text"
)

// Plan writes what the run would do, without doing it: what is trained, how much memory it takes, and the first example with its
// loss mask. It compiles the largest program to measure its memory.
func (r *Run) Plan(w io.Writer) error {
	cfg := r.adapter.Config()
	fmt.Fprintf(w, "model      %s: %s, %s parameters\n", r.cfg.Model.Path, r.model.Config.ModelType, count(r.modelSize()))
	trained := r.adapter.Size()
	fmt.Fprintf(w, "adapter    %s: %s trained values (%.3f %% of the model) in %d places\n",
		cfg.Type, count(trained), 100*float64(trained)/float64(r.modelSize()), len(r.adapter.Modules()))
	for _, line := range grouped(r.adapter.Modules()) {
		fmt.Fprintf(w, "           %s\n", line)
	}
	if line := r.planStart(); line != "" {
		fmt.Fprintf(w, "init       %s\n", line)
	}
	fmt.Fprintf(w, "optimizer  %s, lr %g, weight decay %g, schedule %s with %d warm-up steps\n",
		r.cfg.Optimizer.Name, r.cfg.Optimizer.LR, r.cfg.Optimizer.WeightDecay, r.cfg.Schedule.Name, r.cfg.Schedule.Warmup)
	fmt.Fprintf(w, "steps      %d of %d × %d rows; an epoch is %d micro-batches\n", r.steps, r.cfg.Train.Accumulate, r.cfg.Train.Batch, r.data.perEpoch)
	if err := r.planMemory(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "out        %s\n", r.cfg.Out)
	if len(r.data.examples) > 0 {
		ex := r.data.examples[0]
		fmt.Fprintf(w, "data       %d records, %d examples; the first, %s, with what is learnt in ⟦⟧:\n", r.data.records, len(r.data.examples), ex.Where)
		fmt.Fprintln(w, indent(text.Render(ex, r.data.tok)))
	}
	return nil
}

// planMemory compiles the program of the largest batch and adds up what the run holds.
func (r *Run) planMemory(w io.Writer) error {
	if err := r.task.Prepare(); err != nil {
		return err
	}
	var weights, packed int64
	for _, p := range r.model.Params() {
		v := p.Value
		weights += int64(4*len(v.F32) + 2*len(v.U16))
		packed += int64(4 * len(v.U16)) // a copy for each direction of product
	}
	gradients := 8 * int64(r.adapter.Size())
	activations, state := r.task.ArenaBytes(), int64(r.opt.StateBytes())
	fmt.Fprintf(w, "memory     about %s: weights %s, packed copies of them %s, activations %s, gradients and values %s, optimizer %s\n",
		rss.Format(weights+packed+activations+gradients+state), rss.Format(weights), rss.Format(packed), rss.Format(activations),
		rss.Format(gradients), rss.Format(state))
	return nil
}

// grouped joins modules that differ only in numbers: "model.layers.{0-5}.self_attn.q_proj".
func grouped(modules []string) []string {
	type group struct{ lo, hi, n int }
	groups := map[string]*group{}
	var order []string
	for _, m := range modules {
		key, number := m, 0
		parts := strings.Split(m, ".")
		for i, p := range parts {
			var n int
			if _, err := fmt.Sscanf(p, "%d", &n); err == nil {
				parts[i], number = "#", n
				key = strings.Join(parts, ".")
				break
			}
		}
		g := groups[key]
		if g == nil {
			g = &group{lo: number, hi: number}
			groups[key] = g
			order = append(order, key)
		}
		g.lo, g.hi, g.n = min(g.lo, number), max(g.hi, number), g.n+1
	}
	for i, key := range order {
		g := groups[key]
		span := fmt.Sprintf("{%d-%d}", g.lo, g.hi)
		if g.n == 1 {
			span = fmt.Sprint(g.lo)
		}
		order[i] = strings.Replace(key, "#", span, 1)
	}
	return order
}

func indent(s string) string { return "           " + strings.ReplaceAll(s, "\n", "\n           ") }
