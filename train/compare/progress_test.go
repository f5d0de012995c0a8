package compare

import (
	"strings"
	"testing"
	"time"

	"github.com/geotune/geotune/train"
)

func TestProgressOnATerminalRedrawsALine(t *testing.T) {
	var b strings.Builder
	p := newProgress(&b, true, 2)
	clock := time.Unix(0, 0)
	p.now = func() time.Time { return clock }
	p.began = clock
	tick := func(d time.Duration) { clock = clock.Add(d) }
	tick(time.Second)
	p.started("a")
	tick(4 * time.Second)
	p.step("a", train.StepMetrics{Step: 1, Loss: 3}, 2)
	tick(time.Millisecond) // too soon to draw again
	p.step("a", train.StepMetrics{Step: 2, Loss: 2.5}, 2)
	p.ended("a", &Outcome{Evals: []Eval{{0, 4}, {1, 2}, {2, 2.25}}}, 1)
	tick(time.Second)
	p.note("timed")
	p.started(strings.Repeat("b", 100))
	p.close()
	want := "\r\x1b[K0/2 runs: a starts" +
		"\r\x1b[K0/2 runs; left 15s: a step 1/2" +
		"\r\x1b[Krun 1/2  a: held-out loss 2.2500, best 2.0000, 4.0s; left 5.0s\n" +
		"timed\n" +
		"\r\x1b[K1/2 runs; left 6.0s: " + strings.Repeat("b", 57) + "…\r\x1b[K"
	if b.String() != want {
		t.Errorf("found\n%q\nwant\n%q", b.String(), want)
	}
}
