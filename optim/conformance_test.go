package optim_test

import (
	"testing"

	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/optim/optimtest"
)

// variant is a registered rule with some settings changed, and the laws that it claims.
type variant struct {
	name string // "" for the rule as it comes
	edit func(optim.Rule)
	laws optimtest.Laws
}

// edit makes a change to the settings of a rule of type R.
func edit[R optim.Rule](change func(R)) func(optim.Rule) {
	return func(r optim.Rule) { change(r.(R)) }
}

// Short names of claims.
var (
	scales = optimtest.Laws{LossScale: true}                                  // loss scale
	bases  = optimtest.Laws{Gauge: optimtest.General}                         // change of basis of the factors
	both   = optimtest.Laws{Gauge: optimtest.General, LossScale: true}        // change of basis and loss scale
	turned = optimtest.Laws{Gauge: optimtest.Orthogonal, LossScale: true}     // rotation and loss scale
	l2     = optimtest.Laws{Gauge: optimtest.Orthogonal, Decay: optimtest.L2} // rotation, decay as penalty
)

// at returns the claims for a rule that solves the suite's problems at learning rate lr.
func at(lr float64, laws optimtest.Laws) optimtest.Laws { laws.LR = lr; return laws }

// conformance lists every registered rule. More projections amplify rounding where a projected sign has small singular values, beyond
// what the suite takes for equal in float32; the laws of those variants are tested in float64.
var conformance = map[string][]variant{
	"adamw":     {{laws: at(0.05, scales)}},
	"lion":      {{laws: at(0.05, scales)}},
	"lora-plus": {{laws: at(0.05, scales), edit: edit(func(r *optim.LoRAPlus) { r.Ratio = 2 })}},
	"sgd": {
		{laws: at(0.1, l2)},
		{"nesterov", edit(func(r *optim.SGD) { r.Nesterov = true }), at(0.1, l2)},
		{"without momentum", edit(func(r *optim.SGD) { r.Momentum = 0 }), at(0.5, l2)},
		{"dampened", edit(func(r *optim.SGD) { r.Momentum, r.Dampening = 0.5, 0.3 }), at(0.5, l2)},
	},
	"riemannion": {
		{"", restRatio(1), at(0.05, both)},
		{"nesterov", edit(func(r *optim.Riemannion) { r.Nesterov, r.Rest.LRRatio = true, 1 }), at(0.05, both)},
		{"no momentum", edit(func(r *optim.Riemannion) { r.Momentum, r.Rest.LRRatio = 0, 1 }), at(0.05, both)},
		{"scaled as adamw", edit(func(r *optim.Riemannion) { r.LRScaling = optim.LRScalingAdamW }), at(0.05, both)},
	},
	"riemann-sgd": {
		{"", restRatio(1), at(0.1, bases)},
		{"adam", edit(func(r *optim.RiemannSGD) { r.Normalize, r.Rest.LRRatio = optim.NormalizeAdam, 1 }), at(0.1, both)},
		{"paper", edit(func(r *optim.RiemannSGD) { r.Normalize, r.Rest.LRRatio = optim.NormalizePaper, 1 }), at(0.1, both)},
	},
	"geolora": {
		{"tolerance 0", edit(func(r *optim.GeoLoRA) { r.Tolerance, r.Rest.LRRatio = 0, 1 }), at(0.1, bases)},
		{"tolerance 0.05", edit(func(r *optim.GeoLoRA) { r.Tolerance, r.Rest.LRRatio = 0.05, 1 }), at(0.1, bases)},
	},
	"lora-pro":           {{"", restRatio(1), at(0.1, bases)}},
	"lora-pro-thin-adam": {{laws: at(0.05, both)}},
	"scaled-sgd":         {{"undamped", edit(func(r *optim.ScaledSGD) { r.Damping, r.Rest.LRRatio = 0, 1 }), at(0.5, bases)}},
	"scaled-adamw":       {{laws: at(0.05, scales)}},
	"muon":               {{laws: at(0.05, turned)}},
	"lora-muon":          {{"", restRatio(1), at(0.2, both)}},
	"lora-rite":          {{laws: at(0.05, both)}},
	"lora-tsd":           {{"one projection", edit(func(r *optim.LoRATSD) { r.Projections, r.Rest.LRRatio = 1, 1 }), at(0.2, both)}},
	"stella":             {{laws: at(0.05, both)}},
	"stiefel-lora":       {{laws: at(0.05, both)}},
	"loro": {
		{"between exact steps", edit(func(r *optim.LORO) { r.RestLRRatio = 1 }), at(0.2, scales)},
		{"exact steps", edit(func(r *optim.LORO) { r.Period, r.RestLRRatio = 1, 1 }), at(0.2, bases)},
	},
}

// restRatio sets the relative learning rate of points that are no LowRank.
func restRatio(ratio float64) func(optim.Rule) {
	return func(rule optim.Rule) {
		switch r := rule.(type) {
		case *optim.Riemannion:
			r.Rest.LRRatio = ratio
		case *optim.RiemannSGD:
			r.Rest.LRRatio = ratio
		case *optim.LoRAMuon:
			r.Rest.LRRatio = ratio
		case *optim.LoRAPro:
			r.Rest.LRRatio = ratio
		}
	}
}

func TestEveryRegisteredRuleConforms(t *testing.T) {
	for _, name := range optim.Names() {
		if len(conformance[name]) == 0 {
			t.Errorf("%s is not in the table", name)
		}
		for _, v := range conformance[name] {
			newRule := func() optim.Rule {
				rule := registered(t, name)()
				if v.edit != nil {
					v.edit(rule)
				}
				return rule
			}
			optimtest.Run(t, name+" "+v.name, newRule, v.laws)
		}
	}
}

// registered returns a constructor of the rule as the registry makes it.
func registered(t testing.TB, name string) func() optim.Rule {
	return func() optim.Rule {
		rule, err := optim.NewRule(name)
		if err != nil {
			t.Fatal(err)
		}
		return rule
	}
}
