package train_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/checkpoint"
)

// regression fits w to data points (x, y) by least squares: small, and every number can be checked.
type regression struct {
	x, y   []float32
	w      optim.Tensor
	next   train.Position
	size   int // data points a micro-batch
	poison int // number of the Accumulate call whose loss is NaN
	calls  int
	onCall func(call int)
}

type points []int

func (p points) Targets() int { return len(p) }
func (p points) Items() int   { return len(p) }
func (p points) Epoch() int   { return 0 }

func newRegression(size int) *regression {
	r := &regression{size: size, w: optim.Tensor{Name: "w", Value: kernel.New(2), Grad: kernel.New(2)}}
	for i := range 24 {
		x := float32(i%7) - 3
		r.x, r.y = append(r.x, x), append(r.y, 2*x-1+float32(i%5)/10)
	}
	return r
}

func (r *regression) Next() train.Batch {
	var b points
	for range r.size {
		b = append(b, r.next.Batch%len(r.x))
		r.next.Batch++
	}
	return b
}

func (r *regression) Position() train.Position    { return r.next }
func (r *regression) Seek(p train.Position) error { r.next = p; return nil }
func (r *regression) Fingerprint() string         { return "regression" }
func (r *regression) residual(i int) (float32, float32) {
	return r.w.Value.F32[0]*r.x[i] + r.w.Value.F32[1] - r.y[i], r.x[i]
}

func (r *regression) Accumulate(b train.Batch, _ train.Moment, scale float32) (float64, error) {
	r.calls++
	if r.onCall != nil {
		r.onCall(r.calls)
	}
	if r.calls == r.poison {
		return math.NaN(), nil
	}
	var sum float64
	for _, i := range b.(points) {
		d, x := r.residual(i)
		sum += float64(d*d) / 2
		r.w.Grad.F32[0] += scale * d * x
		r.w.Grad.F32[1] += scale * d
	}
	return sum, nil
}

func (r *regression) Evaluate() (train.Evaluation, error) {
	e := train.Evaluation{Targets: len(r.x)}
	for i := range r.x {
		d, _ := r.residual(i)
		e.Loss += float64(d*d) / 2 / float64(len(r.x))
	}
	return e, nil
}

// run is a training of a regression with its checkpoints in dir.
type run struct {
	task   *regression
	train  *train.Trainer
	opt    *optim.Optimizer
	points []optim.Point
	dir    string
	losses []float64
	evals  []train.EvalMetrics
}

func newRun(t *testing.T, dir string, size int, o train.Options) *run {
	t.Helper()
	r := &run{task: newRegression(size), dir: dir}
	r.points = []optim.Point{optim.NewEuclidean(r.task.w)}
	rule, err := optim.NewRule("adamw")
	if err != nil {
		t.Fatal(err)
	}
	if r.opt, err = optim.New(rule, r.points, optim.Config{}); err != nil {
		t.Fatal(err)
	}
	o.LR, o.Schedule = 0.1, optim.Cosine(2, o.Steps)
	r.train = train.NewTrainer(r.task, r.opt, r.points, o, train.Hooks{
		Save: func(s train.State) error {
			_, err := checkpoint.Save(dir, s.Step, r.stored(&s))
			return err
		},
		Step: func(m train.StepMetrics) error { r.losses = append(r.losses, m.Loss); return nil },
		Eval: func(m train.EvalMetrics) error { r.evals = append(r.evals, m); return nil },
	})
	return r
}

func (r *run) stored(s *train.State) checkpoint.Run {
	return checkpoint.Run{State: s, Points: r.points, Gradients: s.Micro > 0, Optimizer: r.opt}
}

func (r *run) resume(t *testing.T) {
	t.Helper()
	path, broken := checkpoint.Latest(r.dir)
	if path == "" {
		t.Fatalf("no checkpoint: %v", broken)
	}
	var s train.State
	if err := checkpoint.Load(path, r.stored(&s)); err != nil {
		t.Fatal(err)
	}
	if err := r.train.Restore(s); err != nil {
		t.Fatal(err)
	}
}

func background() (context.Context, context.Context) {
	return context.Background(), context.Background()
}

// TestResumeAtAnyMicroBatchGivesTheSameBits stops a run before each of its micro-batches in turn, mid-accumulation included, and
// continues it in a new trainer.
func TestResumeAtAnyMicroBatchGivesTheSameBits(t *testing.T) {
	o := train.Options{Steps: 6, Accumulate: 3, EvalEvery: 2}
	whole := newRun(t, t.TempDir(), 2, o)
	if err := whole.train.Run(background()); err != nil {
		t.Fatal(err)
	}
	for at := 1; at < 18; at++ {
		t.Run(fmt.Sprint("stop in call ", at), func(t *testing.T) {
			dir := t.TempDir()
			first := newRun(t, dir, 2, o)
			stop, cancel := context.WithCancel(context.Background())
			first.task.onCall = func(call int) {
				if call == at {
					cancel()
				}
			}
			if err := first.train.Run(context.Background(), stop); !errors.Is(err, train.ErrInterrupted) {
				t.Fatalf("found error %v, expected ErrInterrupted", err)
			}
			second := newRun(t, dir, 2, o)
			second.resume(t)
			if err := second.train.Run(background()); err != nil {
				t.Fatal(err)
			}
			if got := append(first.losses, second.losses...); !slices.Equal(got, whole.losses) {
				t.Errorf("losses %v, uninterrupted %v", got, whole.losses)
			}
			if !slices.Equal(second.task.w.Value.F32, whole.task.w.Value.F32) {
				t.Errorf("values %v, uninterrupted %v", second.task.w.Value.F32, whole.task.w.Value.F32)
			}
			if n := len(first.evals) + len(second.evals); n != len(whole.evals) {
				t.Errorf("%d evaluations, uninterrupted %d", n, len(whole.evals))
			}
		})
	}
}

func TestMicroBatchesEqualOneLargeBatch(t *testing.T) {
	micro := newRun(t, t.TempDir(), 2, train.Options{Steps: 8, Accumulate: 4})
	large := newRun(t, t.TempDir(), 8, train.Options{Steps: 8, Accumulate: 1})
	for _, r := range []*run{micro, large} {
		if err := r.train.Run(background()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range micro.losses {
		if d := math.Abs(micro.losses[i] - large.losses[i]); d > 1e-6*large.losses[i] {
			t.Errorf("step %d: loss %v with micro-batches, %v with a large batch", i+1, micro.losses[i], large.losses[i])
		}
	}
}

func TestFinishCompletesTheStepAndSaves(t *testing.T) {
	dir := t.TempDir()
	r := newRun(t, dir, 2, train.Options{Steps: 10, Accumulate: 3})
	finish, cancel := context.WithCancel(context.Background())
	r.task.onCall = func(call int) {
		if call == 4 {
			cancel()
		}
	}
	if err := r.train.Run(finish, context.Background()); !errors.Is(err, train.ErrInterrupted) {
		t.Fatalf("found error %v, expected ErrInterrupted", err)
	}
	if s := r.train.State(); s.Step != 2 || s.Micro != 0 {
		t.Errorf("stopped at step %d, micro-batch %d; expected the end of step 2", s.Step, s.Micro)
	}
	if path, _ := checkpoint.Latest(dir); !strings.HasSuffix(path, "step-2") {
		t.Errorf("latest checkpoint is %q, expected step-2", path)
	}
}

func TestANonFiniteLossStopsAndKeepsTheLastCheckpoint(t *testing.T) {
	dir := t.TempDir()
	r := newRun(t, dir, 2, train.Options{Steps: 10, Accumulate: 2, SaveEvery: 2})
	r.task.poison = 10 // the second micro-batch of step 5
	err := r.train.Run(background())
	if err == nil || !strings.Contains(err.Error(), "step 5, micro-batch 1") || !strings.Contains(err.Error(), "step 4 is intact") {
		t.Errorf("found error %v", err)
	}
	var diverged *train.DivergedError
	if !errors.As(err, &diverged) || diverged.Step != 5 {
		t.Errorf("found %#v, expected divergence at step 5", diverged)
	}
	if path, broken := checkpoint.Latest(dir); !strings.HasSuffix(path, "step-4") || broken != nil {
		t.Errorf("latest checkpoint is %q (%v), expected step-4", path, broken)
	}
}

func TestPatienceEndsTheRun(t *testing.T) {
	r := newRun(t, t.TempDir(), 24, train.Options{Steps: 4000, Accumulate: 1, EvalEvery: 1, Patience: 5})
	if err := r.train.Run(background()); err != nil {
		t.Fatal(err)
	}
	s := r.train.State()
	if s.Step == 4000 || s.Bad != 5 || s.BestStep != s.Step-5 {
		t.Errorf("stopped at step %d with best step %d and %d evaluations without progress", s.Step, s.BestStep, s.Bad)
	}
}
