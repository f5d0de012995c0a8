package optim

import (
	"fmt"
	"math"
	"path"

	"github.com/geotune/geotune/internal/names"
)

// Group gives some points their own learning rate or decay. Groups apply in order and later ones win, field by field; the
// rule lora-plus is adamw with the single group {Match: "*lora_B*", LRMultiplier: 16}.
type Group struct {
	// Match is a pattern for the whole name of a point the rule moves: * stands for any run of characters, ? for one, [a-c] for a
	// class, as in path.Match. A pattern that matches no point is an error.
	Match string `yaml:"match"`
	// LRMultiplier multiplies the scheduled learning rate; nil leaves it.
	LRMultiplier *float64 `yaml:"lr_multiplier"`
	// WeightDecay replaces the decay coefficient; nil leaves it.
	WeightDecay *float64 `yaml:"weight_decay"`
}

// applyGroups sets multiplier and decay of the units that groups match.
func applyGroups(units []unit, groups []Group) error {
	for i, g := range groups {
		if err := g.validate(); err != nil {
			return fmt.Errorf("optim: group %d: %w", i+1, err)
		}
		matched := false
		for j := range units {
			u := &units[j]
			// Names of Hugging Face tensors hold no slash, the one character that * does not match.
			ok, err := path.Match(g.Match, u.point.Name())
			if err != nil {
				return fmt.Errorf("optim: group %d: pattern %q: %w", i+1, g.Match, err)
			}
			if !ok {
				continue
			}
			matched = true
			if g.LRMultiplier != nil {
				u.lrMultiplier = *g.LRMultiplier
			}
			if g.WeightDecay != nil {
				u.weightDecay = *g.WeightDecay
			}
		}
		if !matched {
			return fmt.Errorf("optim: group %d: pattern %q matches nothing; there are %s", i+1, g.Match, names.Few(namesOf(units), 8))
		}
	}
	return nil
}

func (g Group) validate() error {
	for _, v := range []struct {
		name  string
		value *float64
	}{{"lr_multiplier", g.LRMultiplier}, {"weight_decay", g.WeightDecay}} {
		if v.value != nil && (!(*v.value >= 0) || math.IsInf(*v.value, 1)) {
			return fmt.Errorf("pattern %q: %s %v; it must be finite and not negative", g.Match, v.name, *v.value)
		}
	}
	return nil
}

// namesOf returns the names of the points.
func namesOf(units []unit) []string {
	out := make([]string, len(units))
	for i := range units {
		out[i] = units[i].point.Name()
	}
	return out
}
