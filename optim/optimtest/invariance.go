package optimtest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/geotune/geotune/optim"
)

// Two paths are the same if they end closer than same, relative to the way they went; they differ if they end further apart than
// different. Between the two, the suite could not tell. What is the same in exact arithmetic ends up to 1e-5 apart in float32, because a
// change of basis rounds the start.
const (
	same      = 3e-5
	different = 0.1
)

// pathSteps is the length of the paths that are compared: enough for momentum to matter.
const pathSteps = 8

// agrees checks that two runs from one start ended at the same matrix if and only if the law is claimed.
func agrees(t testing.TB, claimed bool, law string, start, a, b matrix) {
	t.Helper()
	gap := a.minus(b).norm() / a.minus(start).norm()
	switch {
	case claimed && !(gap <= same):
		t.Errorf("%s: claimed, but the paths end %g of their length apart; want at most %g", law, gap, same)
	case !claimed && gap < different:
		t.Errorf("%s: not claimed, but the paths end only %g of their length apart; claim it", law, gap)
	}
}

// path runs the rule on l and returns where X ends. The rate is a fifth of the solving one, so that a path differs from another by
// its direction and not by how it bounces.
func path(t testing.TB, s subject, l *lowRank, decay float64) matrix {
	t.Helper()
	run(t, newOptimizer(t, s.newRule(), l.points(), decay), l, 0, pathSteps, constant(s.laws.LR/5))
	return l.x()
}

func gauge(t testing.TB, s subject) {
	rng := rand.New(rand.NewPCG(12, 3))
	left, right := orthonormal(rng, r, r), orthonormal(rng, r, r)
	root := math.Sqrt(10) // for a condition number of 10
	stretch, shrink := diagonal(1/root, 1, root), diagonal(root, 1, 1/root)
	for _, c := range []struct {
		law        string
		group      Gauge
		q, inverse matrix
	}{
		{"rotation of the factors", Orthogonal, left, left.transpose()},
		{"change of basis of the factors", General, left.mul(stretch).mul(right), right.transpose().mul(shrink).mul(left.transpose())},
	} {
		plain, rebased := newLowRank(t, 12), newLowRank(t, 12)
		rebased.rebase(c.q, c.inverse)
		start := plain.x()
		agrees(t, s.laws.Gauge >= c.group, c.law, start, path(t, s, plain, 0.01), path(t, s, rebased, 0.01))
	}
}

func lossScale(t testing.TB, s subject) {
	plain, scaled := newLowRank(t, 13), newLowRank(t, 13)
	scaled.factor = 4
	start := plain.x()
	agrees(t, s.laws.LossScale, "loss scale", start, path(t, s, plain, 0), path(t, s, scaled, 0))
}

func decays(t testing.TB, s subject) {
	switch s.laws.Decay {
	case Decoupled:
		decoupledDecay(t, s)
	case L2:
		l2Decay(t, s)
	}
}

// decoupledDecay: without a gradient, values shrink by exactly 1 - lr·decay a step.
func decoupledDecay(t testing.TB, s subject) {
	const lr, decay = 0.1, 0.2
	q := newQuadratic(14, 50)
	before := values(q.points())[0]
	o := newOptimizer(t, s.newRule(), q.points(), decay)
	for range pathSteps {
		mustStep(t, o, lr)
	}
	shrink := math.Pow(1-lr*decay, pathSteps)
	for i, x := range values(q.points())[0] {
		if want := shrink * float64(before[i]); math.Abs(float64(x)-want) > 1e-6*math.Abs(want) {
			t.Fatalf("element %d went from %v to %v; want %v", i, before[i], x, want)
		}
	}
}

// l2Decay: decay is the same as a gradient that has decay·value added.
func l2Decay(t testing.TB, s subject) {
	const decay = 0.2
	decayed, penalised := newQuadratic(15, 50), newQuadratic(15, 50)
	a := newOptimizer(t, s.newRule(), decayed.points(), decay)
	b := newOptimizer(t, s.newRule(), penalised.points(), 0)
	for range pathSteps {
		decayed.loss()
		mustStep(t, a, s.laws.LR)
		penalised.loss()
		addPenalty(penalised.points()[0].Tensors()[0], decay)
		mustStep(t, b, s.laws.LR)
	}
	want := values(penalised.points())[0]
	for i, x := range values(decayed.points())[0] {
		if math.Abs(float64(x-want[i])) > 1e-6*max(1, math.Abs(float64(want[i]))) {
			t.Fatalf("element %d is %v; with the penalty in the gradient it is %v", i, x, want[i])
		}
	}
}

func addPenalty(t optim.Tensor, decay float32) {
	for i, x := range t.Value.F32 {
		t.Grad.F32[i] += decay * x
	}
}
