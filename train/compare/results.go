package compare

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
)

// Results are what a comparison found.
type Results struct {
	Setup Setup `json:"setup"`
	// Variants come with the lowest held-out loss first.
	Variants []Row `json:"variants"`
	// Notes are what a reader should know before he trusts the figures.
	Notes []string `json:"notes"`
	// Runs are all runs that figures come from.
	Runs []*Outcome `json:"runs"`
}

// Setup is what all variants share.
type Setup struct {
	Title string `json:"title"`
	Model string `json:"model"`
	// Adapter and Schedule are those of the base, which variants may change.
	Adapter  string `json:"adapter"`
	Schedule string `json:"schedule"`
	Steps    int    `json:"steps"`
	Batch    int    `json:"batch"` // rows of a step
	// TokensPerStep is the mean over the baseline's runs.
	TokensPerStep float64 `json:"tokens_per_step"`
	EvalEvery     int     `json:"eval_every"`
	// StartLoss is the held-out loss of the baseline before the first step.
	StartLoss float64  `json:"start_loss"`
	Baseline  string   `json:"baseline"`
	Seeds     []uint64 `json:"seeds"`
	// TuningSeeds are those that chose the learning rates, by the loss TuneBy.
	TuningSeeds []uint64 `json:"tuning_seeds"`
	TuneBy      string   `json:"tune_by"`
	// TimedSteps is how many steps were timed, 0 for none, on so many Threads.
	TimedSteps int    `json:"timed_steps"`
	Threads    int    `json:"threads"`
	Platform   string `json:"platform"`
}

// Stat summarises a number over seeds. Std is the sample standard deviation, 0 for a single seed.
type Stat struct {
	N    int     `json:"n"`
	Mean float64 `json:"mean"`
	Std  float64 `json:"std"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// newStat returns nil for no values.
func newStat(values []float64) *Stat {
	if len(values) == 0 {
		return nil
	}
	s := &Stat{N: len(values), Min: slices.Min(values), Max: slices.Max(values)}
	for _, v := range values {
		s.Mean += v / float64(s.N)
	}
	if s.N > 1 {
		var squares float64
		for _, v := range values {
			squares += (v - s.Mean) * (v - s.Mean)
		}
		s.Std = math.Sqrt(squares / float64(s.N-1))
	}
	return s
}

// The values of Row.Edge.
const (
	EdgeLow  = "low"
	EdgeHigh = "high"
)

// Row is a variant's line in the table. Figures over seeds are of the chosen learning rate and leave out runs that diverged; they are
// nil where there is none.
type Row struct {
	Name     string `json:"name"`
	Baseline bool   `json:"baseline"`
	// Settings are what the variant changes in the base, as key=value.
	Settings []string `json:"settings"`
	// Rates are the learning rates in ascending order; LR is the chosen one, 0 where all diverged, and Edge says that it is the lowest
	// or highest of several.
	Rates []Rate  `json:"rates"`
	LR    float64 `json:"lr"`
	Edge  string  `json:"edge,omitempty"`
	// Diverged counts the seeds with which the chosen learning rate diverged.
	Diverged int   `json:"diverged"`
	Best     *Stat `json:"best_loss"`
	Final    *Stat `json:"final_loss"`
	// Against is the lowest loss minus that of the baseline with the same seed.
	Against *Stat `json:"best_loss_minus_baseline"`
	// ToBaseline is the step of the first evaluation at which the loss was at most the lowest of the baseline with the same seed, over
	// the seeds where that happened. SecondsToBaseline is its mean times StepSeconds, after StartSeconds.
	ToBaseline        *Stat    `json:"steps_to_baseline"`
	SecondsToBaseline *float64 `json:"seconds_to_baseline"`
	// StepSeconds is the time of a step while nothing else runs; OptimizerShare is the optimizer's part of it.
	StepSeconds    *float64 `json:"step_s"`
	OptimizerShare *float64 `json:"optimizer_share"`
	// StartSeconds is the time of an initialisation from the gradient.
	StartSeconds float64 `json:"start_s"`
	StateBytes   int64   `json:"state_bytes"`
	Trained      int     `json:"trained"`
	Curve        []Point `json:"curve"`
}

// Rate is what the tuning found about a learning rate.
type Rate struct {
	LR float64 `json:"lr"`
	// Diverged counts the tuning seeds with which it diverged; Loss, what the rate is judged by, leaves these out. DivergedAt is the
	// first step at which that happened.
	Diverged   int   `json:"diverged"`
	DivergedAt int   `json:"diverged_at,omitempty"`
	Loss       *Stat `json:"loss"`
}

// Point is the held-out loss after a step over the seeds.
type Point struct {
	Step int `json:"step"`
	Stat
}

// results computes the table. timings is by variant and holds nil where nothing was measured.
func (q *queue) results(timings []*Timing) (*Results, error) {
	if err := q.checkBatches(); err != nil {
		return nil, err
	}
	r := &Results{Setup: q.setup()}
	for v := range q.variants {
		r.Variants = append(r.Variants, q.row(v, timings[v]))
		for rate := range q.variants[v].rates {
			for seed := range q.seeds {
				if o := q.outcomes[job{v, rate, seed}]; o != nil && (seed < q.tuning || rate == q.chosen[v]) {
					r.Runs = append(r.Runs, o)
				}
			}
		}
	}
	slices.SortStableFunc(r.Variants, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.bestMean(), b.bestMean()))
	})
	r.Notes = notes(r)
	return r, nil
}

// rank puts variants without divergence first and those without any result last.
func (r *Row) rank() int {
	switch {
	case r.Best == nil:
		return 2
	case r.Diverged > 0:
		return 1
	}
	return 0
}

func (r *Row) bestMean() float64 {
	if r.Best == nil {
		return math.Inf(1)
	}
	return r.Best.Mean
}

// checkBatches makes sure that whole runs with the same seed were given the same batches in the same order.
func (q *queue) checkBatches() error {
	first := map[[2]int]*Outcome{}
	for v := range q.variants {
		for r := range q.variants[v].rates {
			for s := range q.seeds {
				o := q.outcomes[job{v, r, s}]
				if o == nil || o.Diverged {
					continue
				}
				key := [2]int{s, o.Steps}
				switch other := first[key]; {
				case other == nil:
					first[key] = o
				case other.Batches != o.Batches:
					return fmt.Errorf("compare: %s and %s of %s with seed %d had other batches; one of them was not made by this comparison: remove its folder in %s",
						other.Variant, rateText(o.LR), o.Variant, o.Seed, q.cfg.Out)
				}
			}
		}
	}
	return nil
}

// setup describes what is shared.
func (q *queue) setup() Setup {
	s := Setup{
		Title: "Comparison " + filepath.Base(q.cfg.Out), Baseline: q.variants[q.baseline].Name, Seeds: q.seeds, TuningSeeds: q.seeds[:q.tuning], TuneBy: q.cfg.Tune.By,
		TimedSteps: q.cfg.Timing, Threads: runtime.GOMAXPROCS(0), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Model: q.base.Model.Path, Adapter: q.base.Adapter.Type, EvalEvery: q.base.Train.EvalEvery,
		Schedule: q.base.Schedule.Name, Batch: q.base.Train.Batch * q.base.Train.Accumulate,
	}
	if q.base.Adapter.Type != "full" && q.base.Adapter.From == "" {
		s.Adapter = fmt.Sprintf("%s of rank %d", q.base.Adapter.Type, q.base.Adapter.Rank)
	}
	if q.base.Schedule.Warmup > 0 {
		s.Schedule += fmt.Sprintf(" with %d warm-up steps", q.base.Schedule.Warmup)
	}
	var tokens, steps float64
	for r := range q.variants[q.baseline].rates {
		for seed := range q.seeds {
			if o := q.outcomes[job{q.baseline, r, seed}]; o != nil {
				tokens, steps = tokens+float64(o.Tokens), steps+float64(o.Steps)
				if len(o.Evals) > 0 && o.Evals[0].Step == 0 {
					s.StartLoss = o.Evals[0].Loss
				}
			}
		}
	}
	for _, o := range q.outcomes {
		s.Steps = max(s.Steps, o.Steps)
	}
	s.TokensPerStep = tokens / max(1, steps)
	return s
}
