package optimtest

import (
	"runtime"
	"slices"
	"testing"

	"github.com/geotune/geotune/optim"
)

// broken is momentum SGD with one deliberate fault.
type broken struct {
	optim.SGD
	fault func(b *broken, p optim.Point, s *optim.State, h *optim.Hyper)
	// calls and last are memory that a rule must not have.
	calls int
	last  []float32
}

func (b *broken) Step(p optim.Point, s *optim.State, h optim.Hyper) error {
	b.fault(b, p, s, &h)
	return b.SGD.Step(p, s, h)
}

func first(p optim.Point) optim.Tensor { return p.Tensors()[0] }

// faults name what is wrong with a rule, the laws it claims and the law of the suite that must notice.
var faults = []struct {
	name   string
	fault  func(b *broken, p optim.Point, s *optim.State, h *optim.Hyper)
	claims Laws
	law    string
}{
	{"ascends", func(_ *broken, _ optim.Point, _ *optim.State, h *optim.Hyper) { h.LR = -h.LR },
		sgdLaws, "solves a convex quadratic"},
	{"ascends on factors", func(_ *broken, p optim.Point, _ *optim.State, h *optim.Hyper) {
		if len(first(p).Value.Shape) == 2 {
			h.LR = -h.LR
		}
	}, sgdLaws, "solves low-rank least squares"},
	{"drifts", func(_ *broken, p optim.Point, _ *optim.State, _ *optim.Hyper) { first(p).Value.F32[0] += 1e-3 },
		sgdLaws, "zero gradient from the start moves nothing"},
	{"divides by the gradient", func(_ *broken, p optim.Point, _ *optim.State, _ *optim.Hyper) {
		x, g := first(p).Value.F32, first(p).Grad.F32
		x[0] += 1e-9 * g[0] / g[0]
	}, sgdLaws, "zero gradient after momentum stays finite"},
	{"divides by B", func(_ *broken, p optim.Point, _ *optim.State, _ *optim.Hyper) {
		x := p.Tensors()[0].Value.F32
		x[0] += 1e-9 / x[0] * x[0]
	}, sgdLaws, "start at B = 0 and repeated gradients stay finite"},
	{"moves at rate 0", func(_ *broken, _ optim.Point, _ *optim.State, h *optim.Hyper) { h.LR += 1e-3 },
		sgdLaws, "learning rate 0 moves nothing"},
	{"remembers outside of its state", func(b *broken, _ optim.Point, _ *optim.State, h *optim.Hyper) {
		b.calls++
		h.LR /= float64(b.calls)
	}, sgdLaws, "saved state continues bit for bit"},
	{"depends on threads", func(_ *broken, _ optim.Point, _ *optim.State, h *optim.Hyper) { h.LR *= float64(runtime.GOMAXPROCS(0)) },
		sgdLaws, "same bits for any GOMAXPROCS"},
	{"mixes points", func(b *broken, p optim.Point, _ *optim.State, h *optim.Hyper) {
		if b.last != nil {
			h.LR *= 1 + 0.1*float64(b.last[0])
		}
		b.last = first(p).Value.F32
	}, sgdLaws, "order of points does not matter"},
	{"couples to frozen points", func(b *broken, _ optim.Point, _ *optim.State, h *optim.Hyper) {
		b.calls++
		h.LR /= float64(b.calls)
	}, sgdLaws, "frozen point is untouched"},
	{"stops when something is frozen", func(b *broken, p optim.Point, _ *optim.State, h *optim.Hyper) {
		if b.calls++; b.calls > 3 {
			h.LR = 0
		}
	}, sgdLaws, "frozen low-rank point is untouched"},
	{"writes gradients", func(_ *broken, p optim.Point, _ *optim.State, _ *optim.Hyper) { first(p).Grad.F32[0] = 0 },
		sgdLaws, "gradients are only read"},
	{"forgets decay", func(_ *broken, _ optim.Point, _ *optim.State, h *optim.Hyper) { h.WeightDecay = 0 },
		sgdLaws, "weight decay"},
	{"claims decoupled decay", honest, Laws{LR: 0.1, Gauge: Orthogonal, Decay: Decoupled}, "weight decay"},
	{"claims loss scale invariance", honest, Laws{LR: 0.1, Gauge: Orthogonal, LossScale: true, Decay: L2},
		"loss scale invariance as claimed"},
	{"claims too large a gauge group", honest, Laws{LR: 0.1, Gauge: General, Decay: L2},
		"gauge invariance with momentum as claimed"},
	{"claims too small a gauge group", honest, Laws{LR: 0.1, Gauge: NoGauge, Decay: L2},
		"gauge invariance with momentum as claimed"},
}

var sgdLaws = Laws{LR: 0.1, Gauge: Orthogonal, Decay: L2}

func honest(*broken, optim.Point, *optim.State, *optim.Hyper) {}

func TestSuiteNoticesFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			newRule := func() optim.Rule { return &broken{SGD: optim.SGD{Momentum: 0.9}, fault: f.fault} }
			if !slices.Contains(failures(subject{newRule, f.claims}, f.law), f.law) {
				t.Errorf("%q did not notice", f.law)
			}
		})
	}
}

func TestSuitePassesWhatIsSound(t *testing.T) {
	newRule := func() optim.Rule { return &broken{SGD: optim.SGD{Momentum: 0.9}, fault: honest} }
	if failed := failures(subject{newRule, sgdLaws}, ""); len(failed) > 0 {
		t.Errorf("failed %q", failed)
	}
}

// failures returns which laws of the suite the subject fails, of one law or of all when law is empty.
func failures(s subject, law string) (failed []string) {
	for _, c := range suite {
		if law != "" && law != c.law {
			continue
		}
		rec := &recorder{}
		done := make(chan struct{})
		go func() { // Fatal ends the goroutine that calls it
			defer close(done)
			c.check(rec, s)
		}()
		<-done
		if rec.failed {
			failed = append(failed, c.law)
		}
	}
	return failed
}

// recorder is a testing.TB that only notes failure.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Error(...any)          { r.failed = true }
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Fatal(...any)          { r.failed = true; runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; runtime.Goexit() }
