package optim_test

import (
	"testing"

	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/optim/optimtest"
)

func TestAdamWConforms(t *testing.T) {
	optimtest.Run(t, "adamw", registered(t, "adamw"), optimtest.Laws{LR: 0.05, LossScale: true})
}

func TestSGDConforms(t *testing.T) {
	laws := optimtest.Laws{LR: 0.1, Gauge: optimtest.Orthogonal, Decay: optimtest.L2}
	optimtest.Run(t, "sgd", registered(t, "sgd"), laws)
	optimtest.Run(t, "sgd nesterov", func() optim.Rule { return &optim.SGD{Momentum: 0.9, Nesterov: true} }, laws)
	laws.LR = 0.5
	optimtest.Run(t, "sgd without momentum", func() optim.Rule { return &optim.SGD{} }, laws)
	optimtest.Run(t, "sgd dampened", func() optim.Rule { return &optim.SGD{Momentum: 0.5, Dampening: 0.3} }, laws)
}

// registered returns a constructor of the rule as the registry makes it.
func registered(t *testing.T, name string) func() optim.Rule {
	return func() optim.Rule {
		rule, err := optim.NewRule(name)
		if err != nil {
			t.Fatal(err)
		}
		return rule
	}
}

// The rule of the package example passes the suite that the built-in ones pass.
func TestLionConforms(t *testing.T) {
	optimtest.Run(t, "lion", registered(t, "lion"), optimtest.Laws{LR: 0.05, LossScale: true})
}
