package run

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/internal/rss"
	"github.com/geotune/geotune/train"
)

// report collects what a run's report says.
type report struct {
	run         *Run
	started     time.Time
	evals       []train.EvalMetrics
	first, last train.StepMetrics
	items       int
}

func (p *report) step(m train.StepMetrics) {
	if p.first.Step == 0 {
		p.first = m
	}
	p.last = m
	p.items += m.Items
}

func (p *report) eval(m train.EvalMetrics) { p.evals = append(p.evals, m) }

// finish writes report.md into the run's folder and tells the user what came out and what to do next.
func (p *report) finish(s train.State) error {
	r := p.run
	if err := atomicfile.WriteBytes(r.out(reportFile), []byte(p.markdown(s))); err != nil {
		return err
	}
	fmt.Fprintf(r.o.Log, "\n%s\n%s", p.summary(), p.next())
	return nil
}

// summary is the outcome in a few lines.
func (p *report) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "trained %s in %s, peak memory %s\n", p.run.cfg.Out, train.Short(time.Since(p.started)), rss.Format(rss.Peak()))
	if n := len(p.evals); n > 1 {
		before, after := p.evals[0].Loss, p.evals[n-1].Loss
		fmt.Fprintf(&b, "held-out loss %.4f → %.4f (perplexity %.2f → %.2f)\n", before, after, math.Exp(before), math.Exp(after))
	} else if p.last.Step > 0 {
		fmt.Fprintf(&b, "training loss %.4f at step %d\n", p.last.Loss, p.last.Step)
	}
	return b.String()
}

// next says what can be done with the result.
func (p *report) next() string {
	r := p.run
	out := r.finalDir()
	if r.full() {
		return fmt.Sprintf("next:\n  geotune generate --model %s --prompt '...'\n", out)
	}
	model, dir := r.cfg.Model.Path, r.modelDir
	if r.adapter.BelongsToModifiedBase() {
		model, dir = r.out(baseDir), r.out(baseDir)
	}
	prompt := "'...'"
	if len(r.data.heldOut) > 0 && r.data.heldOut[0].Where != "" {
		prompt = shellQuote(r.prompt())
	}
	return fmt.Sprintf(`next:
  geotune generate --model %[1]s --prompt %[3]s
  geotune generate --model %[1]s --adapter %[2]s --prompt %[3]s
  geotune fuse --model %[1]s --adapter %[2]s -o %[4]s
in Python:
  from transformers import AutoModelForCausalLM
  from peft import PeftModel
  model = AutoModelForCausalLM.from_pretrained(%[5]q)
  model = PeftModel.from_pretrained(model, %[2]q)
`, model, out, prompt, r.out("fused"), dir)
}

// prompt returns the part of a held-out example that stands before what is learnt.
func (r *Run) prompt() string {
	ex := r.data.heldOut[0]
	n := 0
	for n < len(ex.Learn) && !ex.Learn[n] {
		n++
	}
	if n == len(ex.Learn) || n < 2 {
		n = min(16, len(ex.IDs))
	}
	return r.data.tok.Decode(ex.IDs[:n], true)
}

func (p *report) markdown(s train.State) string {
	var b strings.Builder
	r := p.run
	fmt.Fprintf(&b, "# %s\n\n%s\n", r.cfg.Out, p.summary())
	fmt.Fprintf(&b, "| | |\n|---|---|\n| model | `%s` |\n| adapter | %s, %s trained values |\n| optimizer | %s, lr %g |\n| steps | %d |\n| tokens | %d |\n",
		r.cfg.Model.Path, r.adapter.Config().Type, count(r.adapter.Size()), r.cfg.Optimizer.Name, r.cfg.Optimizer.LR, s.Step, s.Items)
	if s.BestStep > 0 {
		fmt.Fprintf(&b, "| best | held-out loss %.4f at step %d, in `%s` |\n", s.BestLoss, s.BestStep, bestDir)
	}
	if len(p.evals) > 0 {
		b.WriteString("\n| step | held-out loss | perplexity |\n|---:|---:|---:|\n")
		for _, e := range p.evals {
			fmt.Fprintf(&b, "| %d | %.4f | %.2f |\n", e.Step, e.Loss, math.Exp(e.Loss))
		}
	}
	if r.begun != nil {
		b.WriteString(r.begun.markdown())
	}
	fmt.Fprintf(&b, "\nThe settings are in `%s`, the numbers of every step in `%s`.\n\n```\n%s```\n", ConfigFile, train.MetricsFile, p.next())
	return b.String()
}

func shellQuote(s string) string {
	if strings.ContainsAny(s, "\n\t'\\") {
		r := strings.NewReplacer("\\", `\\`, "'", `\'`, "\n", `\n`, "\t", `\t`)
		return "$'" + r.Replace(s) + "'"
	}
	return "'" + s + "'"
}
