package train

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/geotune/geotune/internal/rss"
)

// Progress shows how a run goes: one line that is redrawn on a terminal, a line now and then elsewhere.
type Progress struct {
	w        io.Writer
	terminal bool
	total    int
	unit     string
	every    time.Duration // between lines when w is no terminal
	now      func() time.Time

	started    time.Time
	first      int // steps done before this process
	items      int
	lastLine   time.Time
	unfinished bool // the cursor stands behind a redrawn line
	smoothed   float64
}

// NewProgress returns a display for a run of total steps of which done are behind it.
func NewProgress(w io.Writer, terminal bool, unit string, done, total int) *Progress {
	p := &Progress{w: w, terminal: terminal, unit: unit, first: done, total: total, every: 10 * time.Second, now: time.Now}
	p.started = p.now()
	return p
}

// Step shows the state after a step.
func (p *Progress) Step(m StepMetrics) {
	now := p.now()
	p.items += m.Items
	if p.smoothed == 0 {
		p.smoothed = m.Loss
	}
	p.smoothed += (m.Loss - p.smoothed) * max(0.05, 1/float64(m.Step-p.first))
	last := m.Step == p.total
	if !p.terminal && !last && m.Step != p.first+1 && now.Sub(p.lastLine) < p.every {
		return
	}
	if p.terminal && !last && now.Sub(p.lastLine) < 100*time.Millisecond {
		return
	}
	p.lastLine = now
	elapsed := now.Sub(p.started)
	perStep := elapsed / time.Duration(m.Step-p.first)
	line := fmt.Sprintf("step %*d/%d  loss %.4f  lr %.2e  grad %.2e  %s %s/s  left %s  peak %s",
		digits(p.total), m.Step, p.total, p.smoothed, m.LR, m.GradNorm, rate(float64(p.items)/max(1e-9, elapsed.Seconds())), p.unit,
		Short(perStep*time.Duration(p.total-m.Step)), rss.Format(rss.Peak()))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.unfinished = true
		if last {
			p.Break()
		}
		return
	}
	fmt.Fprintln(p.w, line)
}

// Eval shows an evaluation on a line of its own.
func (p *Progress) Eval(m EvalMetrics) {
	p.Break()
	note := ""
	if m.Best {
		note = "  best so far"
	}
	fmt.Fprintf(p.w, "step %*d/%d  held-out loss %.4f  perplexity %.2f%s\n", digits(p.total), m.Step, p.total, m.Loss, math.Exp(m.Loss), note)
}

// Break ends a redrawn line, so that other output starts on a fresh one.
func (p *Progress) Break() {
	if p.unfinished {
		fmt.Fprintln(p.w)
		p.unfinished = false
	}
}

func digits(n int) int { return len(fmt.Sprint(n)) }

// rate prints a number with three significant digits.
func rate(v float64) string {
	switch {
	case v >= 9995:
		return fmt.Sprintf("%.1fk", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
