package optim

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel"
)

// Config holds what an optimizer does besides its rule. The zero value is plain: no decay, no clipping, no groups.
type Config struct {
	// WeightDecay is the decay coefficient of every point that no group treats otherwise.
	WeightDecay float64
	// DecayMatricesOnly spares tensors of fewer than two axes (biases, norms, scales) from WeightDecay, though not from that of a
	// group. PyTorch decays everything, and so does the default.
	DecayMatricesOnly bool
	// ClipGradNorm bounds the norm of all gradients together as torch.nn.utils.clip_grad_norm_ does; 0 is off.
	ClipGradNorm float64
	// Groups change learning rate and decay of the points they match.
	Groups []Group
}

// Optimizer moves points by a rule.
type Optimizer struct {
	rule  Rule
	units []unit
	clip  float64
	step  int64

	partial [partialSums]float64 // working memory of sumSquares
}

// unit is what the rule moves as one, with its share of the configuration.
type unit struct {
	point        Point
	state        *State
	lrMultiplier float64
	weightDecay  float64
}

// frozen reports whether the unit has no gradient at all, and so is left out of the step.
func (u *unit) frozen() bool {
	for _, t := range u.point.Tensors() {
		if t.Grad != nil {
			return false
		}
	}
	return true
}

// Stats tells what a step did.
type Stats struct {
	// Step counts from 1.
	Step int64
	LR   float64
	// GradNorm is the norm of all gradients before clipping, ClipScale the factor that clipping multiplied them by.
	GradNorm, ClipScale float64
}

// New returns an optimizer that moves points by rule. Every tensor is F32 and may occur once.
func New(rule Rule, points []Point, c Config) (*Optimizer, error) {
	if v, ok := rule.(Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, fmt.Errorf("optim: %w", err)
		}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := checkTensors(points); err != nil {
		return nil, err
	}
	o := &Optimizer{rule: rule, clip: c.ClipGradNorm}
	for _, p := range points {
		for _, q := range rule.Split(p) {
			o.units = append(o.units, unit{point: q, lrMultiplier: 1, weightDecay: c.decayOf(q)})
		}
	}
	if err := applyGroups(o.units, c.Groups); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i := range o.units {
		u := &o.units[i]
		if seen[u.point.Name()] {
			return nil, fmt.Errorf("optim: two points are called %q", u.point.Name())
		}
		seen[u.point.Name()] = true
		var err error
		if u.state, err = rule.Init(u.point); err != nil {
			return nil, fmt.Errorf("optim: start %q: %w", u.point.Name(), err)
		}
	}
	return o, nil
}

// Step moves every point that has a gradient by one step at learning rate lr. Gradients are only read, except that clipping scales
// them in place. A gradient that is not finite gives a *NonFiniteError, and then nothing has moved.
func (o *Optimizer) Step(lr float64) (Stats, error) {
	stats := Stats{Step: o.step + 1, LR: lr, ClipScale: 1}
	if !(lr >= 0) || math.IsInf(lr, 1) {
		return stats, fmt.Errorf("optim: step %d: learning rate %v; it must be finite and not negative", stats.Step, lr)
	}
	var err error
	if stats.GradNorm, err = o.gradNorm(); err != nil {
		return stats, err
	}
	if o.clip > 0 {
		stats.ClipScale = min(1, o.clip/(stats.GradNorm+clipEps))
		o.scaleGradients(float32(stats.ClipScale))
	}
	o.step++
	for i := range o.units {
		u := &o.units[i]
		if u.frozen() {
			continue
		}
		h := Hyper{Step: o.step, LR: lr * u.lrMultiplier, WeightDecay: u.weightDecay}
		if err := o.rule.Step(u.point, u.state, h); err != nil {
			return stats, fmt.Errorf("optim: step %d of %q: %w", o.step, u.point.Name(), err)
		}
	}
	return stats, nil
}

// Steps returns how many steps were taken, those before a Load included.
func (o *Optimizer) Steps() int64 { return o.step }

func (c Config) validate() error {
	for _, v := range []struct {
		name  string
		value float64
	}{{"weight decay", c.WeightDecay}, {"gradient norm bound", c.ClipGradNorm}} {
		if !(v.value >= 0) || math.IsInf(v.value, 1) {
			return fmt.Errorf("optim: %s %v; it must be finite and not negative", v.name, v.value)
		}
	}
	return nil
}

// decayOf returns the decay of p before groups. A point of several tensors decays as a whole if one of them is a matrix.
func (c Config) decayOf(p Point) float64 {
	if !c.DecayMatricesOnly {
		return c.WeightDecay
	}
	for _, t := range p.Tensors() {
		if len(t.Value.Shape) >= 2 {
			return c.WeightDecay
		}
	}
	return 0
}

// checkTensors refuses tensors a rule could not move: of another type, empty, with a gradient of another shape, or listed twice.
func checkTensors(points []Point) error {
	owner := map[*float32]string{}
	for _, p := range points {
		for _, t := range p.Tensors() {
			if err := t.check(); err != nil {
				return fmt.Errorf("optim: tensor %q: %w", t.Name, err)
			}
			first := &t.Value.F32[0]
			if other, twice := owner[first]; twice {
				return fmt.Errorf("optim: tensors %q and %q are the same memory and would be moved twice; list it once", other, t.Name)
			}
			owner[first] = t.Name
		}
	}
	return nil
}

func (t Tensor) check() error {
	v := t.Value
	switch {
	case v == nil:
		return fmt.Errorf("no value")
	case v.DType != kernel.F32:
		return fmt.Errorf("type %v; trained tensors are F32", v.DType)
	case len(v.F32) == 0:
		return fmt.Errorf("no values")
	case t.Grad != nil && !(t.Grad.DType == kernel.F32 && t.Grad.Shape.Equal(v.Shape) && len(t.Grad.F32) == len(v.F32)):
		return fmt.Errorf("value %v of shape %v, gradient %v of shape %v; they must agree", v.DType, v.Shape, t.Grad.DType, t.Grad.Shape)
	}
	return nil
}
