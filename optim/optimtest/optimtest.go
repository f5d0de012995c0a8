// Package optimtest is the conformance suite of update rules: what every rule must do, and a check of what each rule claims.
//
//	func TestMyRule(t *testing.T) {
//		optimtest.Run(t, "my-rule", func() optim.Rule { return &MyRule{...} }, optimtest.Laws{LR: 0.1})
//	}
//
// The suite works on problems small enough to solve in milliseconds: a convex quadratic of plain tensors and a low-rank least-squares
// problem whose point is a LowRank. Give it the rule as users run it, momentum included.
package optimtest

import (
	"testing"

	"github.com/geotune/geotune/optim"
)

// Laws is what a rule claims. Run checks that a claimed law holds and that a law that is not claimed is broken, so that the table of
// claims cannot fall behind the code.
type Laws struct {
	// LR is a learning rate with which the rule solves the suite's problems in 400 steps of a linear schedule: quadratics with
	// curvatures from 0.1 to 1, and a rank-3 matrix with singular values around 1.
	LR float64
	// Gauge is the largest group of changes of basis of a LowRank point, (B,A) to (B·Q, Q⁻¹·A), that leaves the path of B·A alone.
	Gauge Gauge
	// LossScale tells that multiplying the loss by a constant changes nothing.
	LossScale bool
	// Decay is the kind of weight decay on plain tensors.
	Decay Decay
}

// Gauge is a group of r×r matrices.
type Gauge int

// The gauge groups, each containing those before.
const (
	NoGauge    Gauge = iota // only the identity
	Orthogonal              // rotations and reflections
	General                 // all invertible matrices
)

// Decay is a definition of weight decay.
type Decay int

const (
	// Decoupled decay multiplies values by 1 - lr·decay in each step, whatever the gradient.
	Decoupled Decay = iota
	// L2 decay adds decay·value to the gradient.
	L2
)

// subject is a rule under test.
type subject struct {
	newRule func() optim.Rule
	laws    Laws
}

// suite lists the checks, named after the laws.
var suite = []struct {
	law   string
	check func(testing.TB, subject)
}{
	{"solves a convex quadratic", solvesQuadratic},
	{"solves low-rank least squares", solvesLowRank},
	{"zero gradient from the start moves nothing", zeroGradientRests},
	{"zero gradient after momentum stays finite", zeroGradientStaysFinite},
	{"start at B = 0 and repeated gradients stay finite", startAtZeroStaysFinite},
	{"learning rate 0 moves nothing", zeroRateRests},
	{"saved state continues bit for bit", stateRoundTrips},
	{"steps are counted", stepsAreCounted},
	{"same bits for any GOMAXPROCS", deterministic},
	{"order of points does not matter", orderIndependent},
	{"frozen point is untouched", frozenRests},
	{"frozen low-rank point is untouched", frozenPairRests},
	{"gradients are only read", gradientsAreRead},
	{"weight decay", decays},
	{"loss scale invariance as claimed", lossScale},
	{"gauge invariance with momentum as claimed", gauge},
}

// Run checks every law on the rules that newRule returns, in subtests of the given name.
func Run(t *testing.T, name string, newRule func() optim.Rule, laws Laws) {
	t.Run(name, func(t *testing.T) {
		for _, s := range suite {
			t.Run(s.law, func(t *testing.T) { s.check(t, subject{newRule, laws}) })
		}
	})
}
