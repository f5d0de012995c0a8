package compare

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/geotune/geotune/train"
)

// progress shows how a comparison goes: a line for each run that has ended, and on a terminal below it one that is redrawn.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	now      func() time.Time

	total, left int
	running     []*runProgress
	began       time.Time
	steps       int // taken since
	perRun      int // steps of a whole run
	lastDraw    time.Time
	drawn       bool // the cursor stands behind a redrawn line
}

// runProgress is a run in progress.
type runProgress struct {
	name  string
	began time.Time
	step  int
}

func newProgress(w io.Writer, terminal bool, left int) *progress {
	return &progress{w: w, terminal: terminal, now: time.Now, total: left, left: left, began: time.Now()}
}

func (p *progress) started(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = append(p.running, &runProgress{name: name, began: p.now()})
	p.draw()
}

// step takes up a step of a run of so many.
func (p *progress) step(name string, m train.StepMetrics, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	p.perRun = of
	if r := p.find(name); r != nil {
		r.step = m.Step
	}
	p.draw()
}

func (p *progress) find(name string) *runProgress {
	i := slices.IndexFunc(p.running, func(r *runProgress) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return p.running[i]
}

// ended shows what came of a run; o is nil for one that was interrupted or failed.
func (p *progress) ended(name string, o *Outcome, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.find(name)
	p.running = slices.DeleteFunc(p.running, func(r *runProgress) bool { return r.name == name })
	p.left = left
	if o == nil || r == nil {
		return
	}
	result := fmt.Sprintf("held-out loss %.4f, best %.4f", o.Final(), o.Best())
	if o.Diverged {
		result = fmt.Sprintf("diverged at step %d", o.DivergedAt)
	}
	p.erase()
	fmt.Fprintf(p.w, "run %d/%d  %s: %s, %s%s\n", p.total-left, p.total, name, result, train.Short(p.now().Sub(r.began)), p.eta())
	p.draw()
}

// eta says how long the rest will take.
func (p *progress) eta() string {
	if p.steps == 0 || p.left == 0 {
		return ""
	}
	steps := p.left * p.perRun
	for _, r := range p.running {
		steps -= r.step
	}
	perStep := p.now().Sub(p.began) / time.Duration(p.steps)
	return "; left " + train.Short(time.Duration(max(0, steps))*perStep)
}

// lineWidth bounds the redrawn line: one that a narrow terminal breaks in two could not be taken away again.
const lineWidth = 79

// draw shows the runs in progress on a terminal.
func (p *progress) draw() {
	now := p.now()
	if !p.terminal || len(p.running) == 0 || now.Sub(p.lastDraw) < 100*time.Millisecond {
		return
	}
	p.lastDraw = now
	var runs []string
	for _, r := range p.running {
		at := "starts"
		if r.step > 0 {
			at = fmt.Sprintf("step %d/%d", r.step, p.perRun)
		}
		runs = append(runs, r.name+" "+at)
	}
	line := []rune(fmt.Sprintf("%d/%d runs%s: %s", p.total-p.left, p.total, p.eta(), strings.Join(runs, " | ")))
	if len(line) > lineWidth {
		line = append(line[:lineWidth-1], '…')
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", string(line))
	p.drawn = true
}

// erase takes the redrawn line away.
func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// note shows a line of its own.
func (p *progress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}
