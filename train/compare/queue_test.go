package compare

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// outcome returns a finished run with the given losses after steps 0, 10, 20, ...; NaN is divergence there.
func outcome(p *Plan, j job, losses ...float64) *Outcome {
	o := &Outcome{Variant: p.variants[j.variant].Name, LR: p.lr(j), Seed: p.seeds[j.seed], Data: "d", Batches: "b", Trained: 10, StateBytes: 80}
	for i, loss := range losses {
		o.Steps = 10 * i
		if math.IsNaN(loss) {
			o.Diverged, o.DivergedAt, o.Reason = true, 10*i, "the loss is NaN"
			break
		}
		o.Evals = append(o.Evals, Eval{10 * i, loss})
	}
	return o
}

// started returns what next gives until nothing can be started, finishing each run with the loss that finish says.
func started(q *queue, finish func(job) float64) []string {
	var out []string
	for {
		j, ok := q.next()
		if !ok {
			return out
		}
		out = append(out, q.describe(j))
		q.outcomes[j] = outcome(q.Plan, j, 3, finish(j))
	}
}

func TestTheBestRateGoesOnWithTheOtherSeeds(t *testing.T) {
	q := newQueue(mustParse(t, small, "seeds=[1, 2, 3]", "tune.seeds=2"))
	if tuning, more := q.counts(); tuning != 6 || more != 2 || q.left() != 8 {
		t.Errorf("%d and %d runs, %d left", tuning, more, q.left())
	}
	got := started(q, func(j job) float64 { return []float64{2, 1}[j.rate] + float64(j.seed) })
	want := []string{
		"adamw lr 0.001 seed 1", "sgd lr 0.1 seed 1", "adamw lr 0.004 seed 1",
		"adamw lr 0.001 seed 2", "sgd lr 0.1 seed 2", "adamw lr 0.004 seed 2",
		"adamw lr 0.004 seed 3", "sgd lr 0.1 seed 3",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if q.left() != 0 || !reflect.DeepEqual(q.chosen, []int{1, 0}) {
		t.Errorf("%d left, chosen %v", q.left(), q.chosen)
	}
}

func TestOneVariantNeedNotWaitForAnother(t *testing.T) {
	q := newQueue(mustParse(t, small))
	for range 3 {
		if _, ok := q.next(); !ok {
			t.Fatal("no run")
		}
	}
	if j, ok := q.next(); ok {
		t.Fatalf("%s may not start before a rate is chosen", q.describe(j))
	}
	q.outcomes[job{1, 0, 0}] = outcome(q.Plan, job{1, 0, 0}, 3, 2)
	if j, ok := q.next(); !ok || j != (job{1, 0, 1}) {
		t.Errorf("found %v, %v, want sgd with the second seed", j, ok)
	}
}

func TestARateThatDivergesIsNotChosen(t *testing.T) {
	q := newQueue(mustParse(t, small))
	started(q, func(j job) float64 {
		if j.variant == 1 || j.rate == 0 {
			return math.NaN()
		}
		return 9 // worse than at the start
	})
	if !reflect.DeepEqual(q.chosen, []int{1, noRate}) || q.left() != 0 {
		t.Errorf("chosen %v, %d left", q.chosen, q.left())
	}
}

func TestTheFinalLossMayChooseTheRate(t *testing.T) {
	for by, want := range map[string]int{ByBest: 0, ByFinal: 1} {
		q := newQueue(mustParse(t, small, "tune.by="+by, "seeds=[1]"))
		for r, losses := range [][]float64{{3, 1, 2.5}, {3, 2, 2}} {
			j := job{0, r, 0}
			q.outcomes[j] = outcome(q.Plan, j, losses...)
		}
		if q.decide(0); q.chosen[0] != want {
			t.Errorf("by %s: chosen %d, want %d", by, q.chosen[0], want)
		}
	}
}

func TestThePlanTellsRunsAndTime(t *testing.T) {
	var b strings.Builder
	mustParse(t, small, "out=o", "seeds=[1, 2, 3]", "parallel=2").describePlan(&b, 4, 90*time.Second)
	want := `model      builtin:quickstart/model
variants   adamw (baseline): lr 0.001 0.004
           sgd: lr 0.1, optimizer.momentum=0.5, optimizer.name=sgd
runs       3 to choose learning rates with seed 1, then 4 with seeds 2, 3; 4 steps each, 2 side by side
time       about 10m30s on this machine: 1m30s a run, as the baseline takes, times 7
out        o
`
	if b.String() != want {
		t.Errorf("found\n%s\nwant\n%s", b.String(), want)
	}
}
