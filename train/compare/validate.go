package compare

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/geotune/geotune/internal/names"
)

// folderName is what a variant's name may be, so that it is a folder's on every system.
var folderName = regexp.MustCompile(`^[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,63}$`)

// variantKeys are the parts of a training config in which variants may differ. What fixes the batches, their order and the evaluation
// is not among them.
var variantKeys = []string{"optimizer", "adapter", "schedule", "train.clip_grad_norm", "train.checkpointing"}

// checker collects mistakes in a config.
type checker struct {
	source
	errs []error
}

func (c *checker) failf(path, format string, args ...any) {
	c.errs = append(c.errs, c.source.failf(path, format, args...))
}

// check reports mistakes that show without the base.
func (s source) check(cfg *Config) error {
	c := &checker{source: s}
	c.variants(cfg)
	c.grid("lr", cfg.LR)
	for i, seed := range cfg.Seeds {
		if slices.Contains(cfg.Seeds[:i], seed) {
			c.failf("seeds", "%d occurs twice", seed)
		}
	}
	if cfg.Tune.Seeds < 0 || len(cfg.Seeds) > 0 && cfg.Tune.Seeds > len(cfg.Seeds) {
		c.failf("tune.seeds", "is %d, expected a number from 1 to the %d seeds, or 0 for all", cfg.Tune.Seeds, len(cfg.Seeds))
	}
	if cfg.Tune.By != ByBest && cfg.Tune.By != ByFinal {
		c.failf("tune.by", "is %q, expected %s or %s", cfg.Tune.By, ByBest, ByFinal)
	}
	if cfg.Timing < 0 {
		c.failf("timing", "is %d, expected a number of steps, or 0 for none", cfg.Timing)
	}
	if cfg.Parallel < 0 {
		c.failf("parallel", "is %d, expected at least 1, or 0 to choose", cfg.Parallel)
	}
	if cfg.Out == "" {
		c.failf("out", "is empty; name the folder of the comparison")
	}
	c.shared(cfg)
	return errors.Join(c.errs...)
}

// variants checks names and baseline.
func (c *checker) variants(cfg *Config) {
	if len(cfg.Variants) < 2 {
		c.failf("variants", "has %d entries, expected at least two to compare", len(cfg.Variants))
	}
	seen := map[string]bool{}
	var all []string
	for i, v := range cfg.Variants {
		at := variantPath(i)
		switch {
		case !folderName.MatchString(v.Name):
			c.failf(at+".name", "is %q, expected a name of letters, digits and _.+-, because a folder is called so", v.Name)
		case seen[strings.ToLower(v.Name)]:
			c.failf(at+".name", "%q occurs twice; some systems take upper and lower case for the same", v.Name)
		}
		seen[strings.ToLower(v.Name)] = true
		all = append(all, v.Name)
		c.grid(at+".lr", v.LR)
		c.variantSet(cfg, i)
	}
	if cfg.Baseline != "" && !slices.Contains(all, cfg.Baseline) {
		c.failf("baseline", "%s", names.Unknown("variant", cfg.Baseline, all))
	}
}

// grid checks learning rates.
func (c *checker) grid(path string, rates []float64) {
	for i, lr := range rates {
		if !(lr > 0) || math.IsInf(lr, 0) {
			c.failf(path, "holds %v, expected positive numbers", lr)
		}
		if slices.Contains(rates[:i], lr) {
			c.failf(path, "%v occurs twice", lr)
		}
	}
}

// variantSet checks that a variant changes nothing that all must share.
func (c *checker) variantSet(cfg *Config, i int) {
	at := variantPath(i) + ".set"
	c.once(at, cfg.Variants[i].Set)
	for _, s := range flatten(at, cfg.Variants[i].Set) {
		switch {
		case s.key == "optimizer.lr" && len(cfg.Variants[i].LR)+len(cfg.LR) > 0:
			c.failf(s.path, "stands beside a grid of learning rates; write lr: [%s] in the variant instead", s.yaml())
		case !slices.ContainsFunc(variantKeys, func(k string) bool { return s.key == k || strings.HasPrefix(s.key, k+".") }):
			c.failf(s.path, "variants train on the same model, data and batches and may differ in %s only; for all variants, write it under set",
				strings.Join(variantKeys, ", "))
		}
	}
}

// once checks that a section does not set a value in two ways, such as {optimizer: {lr: 1}, optimizer.lr: 2}: keys have no order in which
// the last one could win.
func (c *checker) once(at string, set map[string]any) {
	seen := map[string]bool{}
	for _, s := range flatten(at, set) {
		if seen[s.key] {
			c.failf(at+"."+s.key, "is set twice, with and without dots; remove one of them")
		}
		seen[s.key] = true
	}
}

// shared checks the overrides that all variants get.
func (c *checker) shared(cfg *Config) {
	c.once("set", cfg.Set)
	for i, text := range cfg.Overrides {
		if key, _, ok := strings.Cut(text, "="); !ok || key == "" {
			c.failf(overridePath(i), "is %q, expected KEY=VALUE, such as train.steps=100", text)
		}
	}
	for _, o := range c.source.shared(cfg) {
		for _, key := range keys(o) {
			if wrong := misplaced(cfg, key); wrong != "" {
				c.errs = append(c.errs, fmt.Errorf("%s: set.%s: %s", o.Place, key, wrong))
			}
		}
	}
}

// misplaced says why a value of the training config cannot be set for all variants, "" if it can.
func misplaced(cfg *Config, key string) string {
	switch {
	case key == "out":
		return "runs have their folders in that of the comparison; set out instead"
	case key == "train.seed" && len(cfg.Seeds) > 0:
		return "stands beside seeds; remove it"
	case key == "optimizer.lr" && len(cfg.LR) > 0:
		return "stands beside a grid of learning rates; remove one of them"
	}
	return ""
}
