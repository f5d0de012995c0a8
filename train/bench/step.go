package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/geotune/geotune/internal/rss"
	"github.com/geotune/geotune/train"
)

// StepOptions say which training step is measured.
type StepOptions struct {
	Preset  string
	Adapter string // LoRA or Full
	DType   string // in which frozen weights are kept: float32, bfloat16, float16
	Threads int    // 0 = GOMAXPROCS
	// Steps are measured after Warmup steps, the first of which compiles the program and packs the weights.
	Steps, Warmup int
	// Sets override the run's config, KEY=VALUE; see the error for what can be set.
	Sets []string
}

// StepResult is what a training step takes. Times are of whole steps as the trainer carries them out: batch, forward, backward,
// optimizer.
type StepResult struct {
	Bench     string `json:"bench"`
	Preset    string `json:"preset"`
	Shape     Shape  `json:"shape"`
	Adapter   string `json:"adapter"`
	Optimizer string `json:"optimizer"`
	DType     string `json:"dtype"`
	Threads   int    `json:"threads"`

	TokensPerS     float64 `json:"tokens_per_s"` // by the median
	TokensPerSBest float64 `json:"tokens_per_s_best"`
	Step           Times   `json:"step_ms"`
	// Forward and Backward are the medians of the time in kernels. The head computes the gradient of its input together with the loss,
	// so that this product counts as forward. Optimizer is the median of clipping, rule and geometry.
	Forward        float64 `json:"forward_ms"`
	Backward       float64 `json:"backward_ms"`
	OptimizerMS    float64 `json:"optimizer_ms"`
	OptimizerShare float64 `json:"optimizer_share"`
	Other          float64 `json:"other_ms"` // median of what is neither: batches, clearing gradients

	GFLOPStep   float64            `json:"gflop_step"`
	GFLOPBy     map[string]float64 `json:"gflop_by"`
	GFLOPS      float64            `json:"gflops"` // by the median
	GFLOPSBest  float64            `json:"gflops_best"`
	PeakGFLOPS  float64            `json:"peak_gflops"` // rate of multiply-adds in registers with as many threads
	ShareOfPeak float64            `json:"share_of_peak"`

	ByKernel []KernelTime `json:"by_kernel"`

	Params     int     `json:"params"` // adapter included
	Trained    int     `json:"trained"`
	StateBytes int64   `json:"state_bytes"` // what the optimizer remembers
	PeakRSS    float64 `json:"peak_rss_mib"`
	LossFirst  float64 `json:"loss_first"`
	LossLast   float64 `json:"loss_last"`
	// Others is how many cores other programs kept busy during the steps; the figures mean little unless it is near 0.
	Others  *float64 `json:"others_busy_cores,omitempty"`
	Machine Machine  `json:"machine"`
}

// Shape holds the sizes of a model and its batch.
type Shape struct {
	Layers  int `json:"layers"`
	Hidden  int `json:"hidden"`
	Heads   int `json:"heads"`
	KVHeads int `json:"kv_heads"`
	Inter   int `json:"inter"`
	Vocab   int `json:"vocab"`
	Seq     int `json:"seq"`
	Batch   int `json:"batch"`
	Rank    int `json:"rank,omitempty"`
}

// KernelTime is the mean time a step spends in one kind of kernel, in milliseconds.
type KernelTime struct {
	Kind     string  `json:"kind"`
	Forward  float64 `json:"forward_ms"`
	Backward float64 `json:"backward_ms"`
	Share    float64 `json:"share"` // of the step
}

// Step measures the training step of a preset on random data. It sets GOMAXPROCS for as long as it runs. When ctx ends, it returns its
// error.
func Step(ctx context.Context, o StepOptions) (*StepResult, error) {
	if o.Steps < 1 || o.Warmup < 0 {
		return nil, UsageError{fmt.Sprintf("%d steps after %d to warm up; expected at least 1 and 0", o.Steps, o.Warmup)}
	}
	threads, restore, err := useThreads(o.Threads)
	if err != nil {
		return nil, err
	}
	defer restore()
	c := newClock(o)
	s, err := newSetup(o, c.trace)
	if err != nil {
		return nil, err
	}
	rate := peak(threads)
	if err := c.run(ctx, s); err != nil {
		return nil, err
	}
	rate = max(rate, peak(threads))
	r := &StepResult{Bench: "step", Preset: o.Preset, DType: o.DType, Threads: threads, Machine: thisMachine()}
	r.describe(s)
	c.report(r)
	r.rates(float64(s.cfg.Train.Accumulate*s.cfg.Train.Batch*s.cfg.Data.MaxLength), rate)
	r.PeakRSS = rounded(float64(rss.Peak())/(1<<20), 1)
	return r, nil
}

// clock takes the times of steps.
type clock struct {
	steps, warmup int
	step          int                     // being run, from 1
	passes        map[pass]*time.Duration // of the measured steps
	half          [2]time.Duration        // kernels of the step being run, forward and backward

	started busy     // when the first measured step began
	others  *float64 // cores that other programs kept busy since

	total, optimizer, forward, backward, other []time.Duration
	first, last                                float64
}

// pass is one kind of kernel in one half of a step.
type pass struct {
	kind     string
	backward bool
}

func newClock(o StepOptions) *clock {
	return &clock{steps: o.Steps, warmup: o.Warmup, step: 1, passes: map[pass]*time.Duration{}, started: busyNow()}
}

// run trains.
func (c *clock) run(ctx context.Context, s *setup) error {
	t := train.NewTrainer(s.task, s.opt, s.adapter.Points(), train.Options{
		Steps: c.warmup + c.steps, Accumulate: s.cfg.Train.Accumulate, LR: s.cfg.Optimizer.LR,
		Schedule: func(int) float64 { return 1 },
	}, train.Hooks{Save: func(train.State) error { return nil }, Step: c.stepped})
	if err := t.Run(ctx, ctx); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// trace is told of every kernel pass.
func (c *clock) trace(kind string, backward bool, d time.Duration) {
	half := 0
	if backward {
		half = 1
	}
	c.half[half] += d
	if c.step <= c.warmup {
		return
	}
	sum := c.passes[pass{kind, backward}]
	if sum == nil {
		sum = new(time.Duration)
		c.passes[pass{kind, backward}] = sum
	}
	*sum += d
}

// stepped is told of every step.
func (c *clock) stepped(m train.StepMetrics) error {
	if m.Step == 1 {
		c.first = m.Loss
	}
	c.last = m.Loss
	if m.Step > c.warmup {
		c.total = append(c.total, m.Duration)
		c.optimizer = append(c.optimizer, m.Optimizer)
		c.forward = append(c.forward, c.half[0])
		c.backward = append(c.backward, c.half[1])
		c.other = append(c.other, m.Duration-m.Optimizer-c.half[0]-c.half[1])
	}
	switch m.Step {
	case c.warmup:
		c.started = busyNow()
	case c.warmup + c.steps:
		c.others = c.started.others()
	}
	c.half, c.step = [2]time.Duration{}, m.Step+1
	return nil
}

// report fills in the times.
func (c *clock) report(r *StepResult) {
	r.Step = timesOf(c.total)
	r.Forward, r.Backward = timesOf(c.forward).Median, timesOf(c.backward).Median
	r.OptimizerMS, r.Other = timesOf(c.optimizer).Median, timesOf(c.other).Median
	all := sum(c.total)
	r.OptimizerShare = rounded(float64(sum(c.optimizer))/float64(all), 5)
	r.Others = c.others
	r.LossFirst, r.LossLast = rounded(c.first, 4), rounded(c.last, 4)
	n := time.Duration(len(c.total))
	kinds := map[string]*KernelTime{}
	for p, d := range c.passes {
		k := kinds[p.kind]
		if k == nil {
			k = &KernelTime{Kind: p.kind}
			kinds[p.kind] = k
		}
		if p.backward {
			k.Backward = ms(*d / n)
		} else {
			k.Forward = ms(*d / n)
		}
		k.Share = rounded(k.Share+float64(*d)/float64(all), 5)
	}
	for _, k := range kinds {
		r.ByKernel = append(r.ByKernel, *k)
	}
	slices.SortFunc(r.ByKernel, func(b, a KernelTime) int { // the longest first
		return cmp.Or(cmp.Compare(a.Forward+a.Backward, b.Forward+b.Backward), cmp.Compare(a.Kind, b.Kind))
	})
}

func sum(ds []time.Duration) time.Duration {
	var total time.Duration
	for _, d := range ds {
		total += d
	}
	return total
}

// describe fills in what was measured.
func (r *StepResult) describe(s *setup) {
	m := s.model.Config
	r.Shape = Shape{
		Layers: m.NumLayers, Hidden: m.HiddenSize, Heads: m.NumHeads, KVHeads: m.NumKVHeads, Inter: m.IntermediateSize, Vocab: m.VocabSize,
		Seq: s.cfg.Data.MaxLength, Batch: s.cfg.Train.Batch, Rank: s.adapter.Config().Rank,
	}
	r.Adapter, r.Optimizer = s.adapter.Config().Type, s.cfg.Optimizer.Name
	for _, p := range s.model.Params() {
		r.Params += p.Value.Len()
	}
	r.Trained, r.StateBytes = s.adapter.Size(), s.opt.StateBytes()
	if r.Adapter != Full {
		r.Params += r.Trained
	}
	ops := countOperations(s.model, s.adapter, s.cfg.Train.Batch, s.cfg.Data.MaxLength)
	micro := float64(s.cfg.Train.Accumulate)
	r.GFLOPStep, r.GFLOPBy = rounded(micro*ops.Total(), 3), map[string]float64{}
	for k, v := range ops {
		r.GFLOPBy[k] = rounded(micro*v, 3)
	}
}

// rates derives the rates from the times.
func (r *StepResult) rates(tokens, peak float64) {
	r.TokensPerS, r.TokensPerSBest = rounded(1e3*tokens/r.Step.Median, 1), rounded(1e3*tokens/r.Step.Min, 1)
	r.GFLOPS, r.GFLOPSBest = rounded(1e3*r.GFLOPStep/r.Step.Median, 1), rounded(1e3*r.GFLOPStep/r.Step.Min, 1)
	r.PeakGFLOPS, r.ShareOfPeak = rounded(peak, 1), rounded(1e3*r.GFLOPStep/r.Step.Median/peak, 4)
}
