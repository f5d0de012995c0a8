package optimtest

import (
	"runtime"
	"slices"
	"testing"

	"github.com/geotune/geotune/optim"
)

// both is the quadratic and the low-rank problem together.
type both struct {
	q *quadratic
	l *lowRank
}

func newBoth(t testing.TB, seed uint64, sizes ...int) both {
	return both{newQuadratic(seed, sizes...), newLowRank(t, seed)}
}

func (b both) points() []optim.Point { return append(slices.Clone(b.q.points()), b.l.points()...) }
func (b both) loss() float64         { return b.q.loss() + b.l.loss() }

func stateRoundTrips(t testing.TB, s subject) {
	const half, all = 5, 11
	lr := func(k int) float64 { return s.laws.LR / float64(k+1) }

	straight := newBoth(t, 6, 30, 4)
	run(t, newOptimizer(t, s.newRule(), straight.points(), 0.01), straight, 0, all, lr)

	stopped := newBoth(t, 6, 30, 4)
	o := newOptimizer(t, s.newRule(), stopped.points(), 0.01)
	run(t, o, stopped, 0, half, lr)
	saved, weights := cloneState(o.State()), values(stopped.points())

	resumed := newBoth(t, 6, 30, 4)
	o = newOptimizer(t, s.newRule(), resumed.points(), 0.01)
	i := 0
	for _, p := range resumed.points() {
		for _, tensor := range p.Tensors() {
			copy(tensor.Value.F32, weights[i])
			i++
		}
	}
	if err := o.Load(saved); err != nil {
		t.Fatal(err)
	}
	run(t, o, resumed, half, all, lr)
	if !sameBits(values(straight.points()), values(resumed.points())) {
		t.Error("the resumed run ended elsewhere than the uninterrupted one")
	}
}

func cloneState(arrays []optim.Array) []optim.Array {
	arrays = slices.Clone(arrays)
	for i := range arrays {
		a := &arrays[i]
		a.F32, a.F64, a.I64 = slices.Clone(a.F32), slices.Clone(a.F64), slices.Clone(a.I64)
	}
	return arrays
}

func stepsAreCounted(t testing.TB, s subject) {
	p := newBoth(t, 7, 5)
	o := newOptimizer(t, s.newRule(), p.points(), 0)
	for want := int64(1); want <= 3; want++ {
		p.loss()
		if got := mustStep(t, o, s.laws.LR).Step; got != want || o.Steps() != want {
			t.Fatalf("step %d reported as %d, %d in all", want, got, o.Steps())
		}
	}
}

func deterministic(t testing.TB, s subject) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first [][]float32
	for _, procs := range []int{1, 2, 4} {
		runtime.GOMAXPROCS(procs)
		p := newBoth(t, 8, 100_003) // more than one chunk of elements, not a multiple
		o, err := optim.New(s.newRule(), p.points(), optim.Config{WeightDecay: 0.01, ClipGradNorm: 1})
		if err != nil {
			t.Fatal(err)
		}
		run(t, o, p, 0, 3, constant(s.laws.LR))
		if first == nil {
			first = values(p.points())
		} else if !sameBits(first, values(p.points())) {
			t.Errorf("GOMAXPROCS %d ended elsewhere than 1", procs)
		}
	}
}

func orderIndependent(t testing.TB, s subject) {
	forward, backward := newBoth(t, 9, 20, 30), newBoth(t, 9, 20, 30)
	reversed := backward.points()
	slices.Reverse(reversed)
	run(t, newOptimizer(t, s.newRule(), forward.points(), 0.01), forward, 0, 5, constant(s.laws.LR))
	run(t, newOptimizer(t, s.newRule(), reversed, 0.01), backward, 0, 5, constant(s.laws.LR))
	if !sameBits(values(forward.points()), values(backward.points())) {
		t.Error("the points in reverse order ended elsewhere")
	}
}

// frozenRests freezes a point for a few steps and checks that neither its values nor its state change, and that the others do not
// notice.
func frozenRests(t testing.TB, s subject) {
	p, other := newQuadratic(10, 20, 30), newQuadratic(10, 20, 30)
	p.points()[1].Tensors()[0].Grad = nil
	o := newOptimizer(t, s.newRule(), p.points(), 0.1)
	frozen, state := values(p.points()[:0]), cloneState(o.State())
	frozen = append(frozen, slices.Clone(p.points()[1].Tensors()[0].Value.F32))
	run(t, o, p, 0, 5, constant(s.laws.LR))
	if !sameBits(frozen, values(p.points()[1:])) {
		t.Error("the frozen point moved")
	}
	for i, a := range o.State() {
		if len(a.Name) > 3 && a.Name[:3] == "x1/" && !sameArray(a, state[i]) {
			t.Errorf("the frozen point's %s changed", a.Name)
		}
	}
	run(t, newOptimizer(t, s.newRule(), other.points(), 0.1), other, 0, 5, constant(s.laws.LR))
	if !sameBits(values(p.points()[:1]), values(other.points()[:1])) {
		t.Error("freezing one point changed the path of another")
	}
}

// frozenPairRests does the same with a low-rank point beside a plain one.
func frozenPairRests(t testing.TB, s subject) {
	p := newBoth(t, 16, 20)
	o := newOptimizer(t, s.newRule(), p.points(), 0.1)
	p.loss()
	mustStep(t, o, s.laws.LR)
	for i := range p.l.p.Tensors() {
		p.l.p.Tensors()[i].Grad = nil
	}
	before, plain := values(p.l.points()), values(p.q.points())
	for range 3 {
		p.q.loss()
		mustStep(t, o, s.laws.LR)
	}
	if !sameBits(before, values(p.l.points())) {
		t.Error("the frozen low-rank point moved")
	}
	if sameBits(plain, values(p.q.points())) {
		t.Error("freezing the low-rank point froze the plain one")
	}
}

func sameArray(a, b optim.Array) bool {
	return sameBits([][]float32{a.F32}, [][]float32{b.F32}) && slices.Equal(a.F64, b.F64) && slices.Equal(a.I64, b.I64)
}

func gradientsAreRead(t testing.TB, s subject) {
	p := newBoth(t, 11, 20)
	o := newOptimizer(t, s.newRule(), p.points(), 0.01)
	for range 3 {
		p.loss()
		before := gradients(p.points())
		mustStep(t, o, s.laws.LR)
		if !sameBits(before, gradients(p.points())) {
			t.Fatal("the step changed a gradient")
		}
	}
}
