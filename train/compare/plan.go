package compare

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/geotune/geotune/train"
)

// Plan is a comparison whose runs are all known and whose configs are all valid.
type Plan struct {
	cfg      *Config
	base     *train.Config // with what all variants share
	variants []plannedVariant
	seeds    []uint64
	tuning   int // how many of the seeds choose the learning rate
	baseline int // index of the variant
}

// plannedVariant is a variant with its learning rates in ascending order.
type plannedVariant struct {
	Variant
	rates     []float64
	training  train.Source
	overrides []train.Override
}

func variantPath(i int) string { return fmt.Sprintf("variants[%d]", i) }

// newPlan validates the comparison and the training config of every run.
func newPlan(c *Config, s source) (*Plan, error) {
	if err := s.check(c); err != nil {
		return nil, err
	}
	training, err := s.training(c)
	if err != nil {
		return nil, err
	}
	shared := s.shared(c)
	base, err := training.Parse(shared)
	if err != nil {
		return nil, err
	}
	if err := s.checkBase(c, base); err != nil {
		return nil, err
	}
	p := &Plan{cfg: c, base: base, seeds: c.Seeds, tuning: c.Tune.Seeds}
	if len(p.seeds) == 0 {
		p.seeds = []uint64{base.Train.Seed}
	}
	if p.tuning == 0 {
		p.tuning = len(p.seeds)
	}
	if p.tuning > len(p.seeds) {
		return nil, s.failf("tune.seeds", "is %d, but there is one seed only; set seeds", p.tuning)
	}
	var errs []error
	for i := range c.Variants {
		errs = append(errs, p.addVariant(i, training, slices.Concat(shared, s.overrides(variantPath(i)+".set", c.Variants[i].Set))))
	}
	p.baseline = max(0, slices.IndexFunc(p.variants, func(v plannedVariant) bool { return v.Name == c.Baseline }))
	return p, errors.Join(errs...)
}

// checkBase makes sure that the runs can be compared.
func (s source) checkBase(c *Config, base *train.Config) error {
	if len(base.Data.HeldOut) == 0 || base.Train.EvalEvery == 0 {
		return fmt.Errorf("%s: base: variants are compared by their held-out loss; set data.heldout and train.eval_every", s.place("base"))
	}
	return nil
}

// addVariant validates the config of a variant and completes its learning rates.
func (p *Plan) addVariant(i int, training train.Source, overrides []train.Override) error {
	v := plannedVariant{Variant: p.cfg.Variants[i], training: training, overrides: overrides}
	cfg, err := training.Parse(overrides)
	if err != nil {
		return err
	}
	switch {
	case len(v.LR) > 0:
		v.rates = slices.Sorted(slices.Values(v.LR))
	case len(p.cfg.LR) > 0:
		v.rates = slices.Sorted(slices.Values(p.cfg.LR))
	default:
		v.rates = []float64{cfg.Optimizer.LR}
	}
	p.variants = append(p.variants, v)
	return nil
}

// job is one run: indices of its variant, learning rate and seed.
type job struct{ variant, rate, seed int }

// lr returns the learning rate of j.
func (p *Plan) lr(j job) float64 { return p.variants[j.variant].rates[j.rate] }

// describe names the run in messages.
func (p *Plan) describe(j job) string {
	return fmt.Sprintf("%s lr %s seed %d", p.variants[j.variant].Name, rateText(p.lr(j)), p.seeds[j.seed])
}

// rateText writes a learning rate exactly, shortRate for people.
func rateText(lr float64) string  { return strconv.FormatFloat(lr, 'g', -1, 64) }
func shortRate(lr float64) string { return strconv.FormatFloat(lr, 'g', 4, 64) }

// dir returns the folder of a run.
func (p *Plan) dir(j job) string {
	v := p.variants[j.variant]
	return filepath.Join(p.cfg.Out, "runs", v.Name, "lr-"+rateText(p.lr(j)), fmt.Sprintf("seed-%d", p.seeds[j.seed]))
}

// config returns the training config of a run, with a rule of its own.
func (p *Plan) config(j job) (*train.Config, error) {
	v := p.variants[j.variant]
	return v.training.Parse(append(slices.Clone(v.overrides),
		train.Override{Key: "optimizer.lr", Value: rateText(p.lr(j))},
		train.Override{Key: "train.seed", Value: strconv.FormatUint(p.seeds[j.seed], 10)},
		train.Override{Key: "out", Value: p.dir(j)},
	))
}

// parallel returns how many runs train side by side.
func (p *Plan) parallel() int {
	if p.cfg.Parallel > 0 {
		return p.cfg.Parallel
	}
	return max(1, min(4, runtime.GOMAXPROCS(0)/2))
}

// counts returns how many runs choose learning rates, and how many follow with the other seeds.
func (p *Plan) counts() (tuning, more int) {
	for _, v := range p.variants {
		tuning += len(v.rates) * p.tuning
	}
	return tuning, len(p.variants) * (len(p.seeds) - p.tuning)
}

// Out returns the folder of the comparison.
func (p *Plan) Out() string { return p.cfg.Out }
