package optimtest

import (
	"math"
	"slices"
	"testing"

	"github.com/geotune/geotune/optim"
)

// solveSteps is the length of the runs that must converge, solved the fraction of the first loss they must reach.
const (
	solveSteps = 400
	solved     = 1e-3
)

func solvesQuadratic(t testing.TB, s subject) { solves(t, s, newQuadratic(1, 7, 40)) }
func solvesLowRank(t testing.TB, s subject)   { solves(t, s, newLowRank(t, 2)) }

func solves(t testing.TB, s subject, p problem) {
	o := newOptimizer(t, s.newRule(), p.points(), 0)
	first := p.loss()
	schedule := optim.Linear(0, solveSteps)
	run(t, o, p, 0, solveSteps, func(k int) float64 { return s.laws.LR * schedule(k) })
	if last := p.loss(); !(last <= solved*first) {
		t.Errorf("loss went from %g to %g in %d steps; want at most %g", first, last, solveSteps, solved*first)
	}
}

// restTolerance is the largest relative change of a point that counts as rest: rules that store a point in another form than they
// compute with may round.
const restTolerance = 1e-6

func zeroGradientRests(t testing.TB, s subject) {
	q, l := newQuadratic(3, 50), newLowRank(t, 3)
	points := append(q.points(), l.points()...)
	o := newOptimizer(t, s.newRule(), points, 0)
	before, x := values(q.points()), l.x()
	for range 3 {
		mustStep(t, o, s.laws.LR)
	}
	rested(t, l, x)
	if !sameBits(before, values(q.points())) {
		t.Error("a plain tensor moved")
	}
}

func zeroRateRests(t testing.TB, s subject) {
	q, l := newQuadratic(4, 50), newLowRank(t, 4)
	points := append(q.points(), l.points()...)
	o := newOptimizer(t, s.newRule(), points, 0.1)
	before, x := values(q.points()), l.x()
	for range 3 {
		q.loss()
		l.loss()
		mustStep(t, o, 0)
	}
	rested(t, l, x)
	if !sameBits(before, values(q.points())) {
		t.Error("a plain tensor moved")
	}
}

func rested(t testing.TB, l *lowRank, before matrix) {
	t.Helper()
	if gap := l.x().minus(before).norm() / before.norm(); !(gap <= restTolerance) {
		t.Errorf("the low-rank matrix changed by %g of its norm; want at most %g", gap, restTolerance)
	}
}

func zeroGradientStaysFinite(t testing.TB, s subject) {
	q, l := newQuadratic(5, 50), newLowRank(t, 5)
	points := append(q.points(), l.points()...)
	o := newOptimizer(t, s.newRule(), points, 0.01)
	for range 3 {
		q.loss()
		l.loss()
		mustStep(t, o, 0.1*s.laws.LR)
	}
	clearGradients(points)
	for range 20 {
		mustStep(t, o, 0.1*s.laws.LR)
	}
	finite(t, points)
}

// startAtZeroStaysFinite starts where LoRA usually does, at B = 0, first without a gradient, then with one of rank 1 that is the same in
// every step.
func startAtZeroStaysFinite(t testing.TB, s subject) {
	l := newLowRank(t, 17)
	clear(l.p.B().Value.F32)
	o := newOptimizer(t, s.newRule(), l.points(), 0.01)
	clearGradients(l.points())
	for range 3 {
		mustStep(t, o, s.laws.LR)
	}
	finite(t, l.points())
	for _, tensor := range l.p.Tensors() {
		cols := tensor.Grad.Shape[1]
		for i := range tensor.Grad.F32 {
			tensor.Grad.F32[i] = float32(1+i/cols) / float32(1+i%cols)
		}
	}
	for range 50 {
		mustStep(t, o, 0.1*s.laws.LR)
	}
	finite(t, l.points())
}

func clearGradients(points []optim.Point) {
	for _, p := range points {
		for _, tensor := range p.Tensors() {
			clear(tensor.Grad.F32)
		}
	}
}

func finite(t testing.TB, points []optim.Point) {
	t.Helper()
	for i, v := range values(points) {
		if slices.ContainsFunc(v, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }) {
			t.Errorf("tensor %d is not finite", i)
		}
	}
}

func sameBits(a, b [][]float32) bool {
	return slices.EqualFunc(a, b, func(x, y []float32) bool {
		return slices.EqualFunc(x, y, func(u, v float32) bool { return math.Float32bits(u) == math.Float32bits(v) })
	})
}
