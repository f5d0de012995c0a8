package adapters

import (
	"fmt"
	"math"
	"strings"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// FuseReport says what Fuse did to each changed parameter, in the order of the adapter's modules.
type FuseReport struct {
	Changed []Fused
	// MaxDelta is the largest change of a weight.
	MaxDelta float32
}

// Fused describes the change ΔW of one parameter of the base.
type Fused struct {
	Name string
	// MaxDelta is the largest |ΔW|, Norm the Frobenius norm of ΔW, both before rounding to the base's storage type.
	MaxDelta float32
	Norm     float64
	// Lost is the norm of what the rounding changed, relative to Norm: with a bfloat16 base, how much of a small update disappears.
	Lost float64
}

// Fuse folds the adapter into the weights of its model, W + scale·B·A in float32, rounded to nearest to the base's storage type, and
// takes it off; trained biases and modules replace those of the base. Nothing has changed when it returns an error: a weight that is
// shared with a module whose output must not change cannot take an update, nor a layer without a bias that of B.
func Fuse(a *Adapter) (*FuseReport, error) {
	f := &fusion{base: a.base, values: map[*graph.Param]*kernel.Tensor{}}
	for _, p := range a.parts {
		if err := p.fuse(f); err != nil {
			return nil, fmt.Errorf("adapters: fuse %s: %w", p.name(), err)
		}
	}
	if err := f.checkShared(a); err != nil {
		return nil, err
	}
	a.Detach()
	for p, v := range f.values {
		p.Value = v.Freeze()
	}
	return &f.report, nil
}

// fusion collects the new values of base parameters, in their storage types.
type fusion struct {
	base   map[*graph.Param]*kernel.Tensor // what parameters that are trained in place were before
	values map[*graph.Param]*kernel.Tensor
	order  []*graph.Param
	report FuseReport
}

// set gives a parameter of the base its new value, unless a part has done so that started from this one.
func (f *fusion) set(p *graph.Param, values []float32) {
	if f.values[p] != nil {
		return
	}
	base := f.base[p]
	if base == nil {
		base = p.Value
	}
	fused := kernel.Rounded(values, base.DType, base.Shape)
	change := measure(p.Name, base.Floats(), values, fused.Floats())
	f.values[p], f.order = fused, append(f.order, p)
	f.report.add(change)
}

func (r *FuseReport) add(change Fused) {
	r.Changed = append(r.Changed, change)
	r.MaxDelta = max(r.MaxDelta, change.MaxDelta)
}

// checkShared refuses to change a weight that a module beside the adapted one uses. Parameters that are trained themselves change for
// all their users, as they did in training.
func (f *fusion) checkShared(a *Adapter) error {
	trained := map[*graph.Param]bool{}
	for _, t := range a.trained {
		trained[t.Param] = true
	}
	for _, p := range f.order {
		if users := a.users[p]; len(users) > 1 && !trained[p] {
			return fmt.Errorf("adapters: fuse: the weight %s is shared by %s, and the adapter changes it for only one of them; use the adapter without fusing",
				p.Name, strings.Join(users, " and "))
		}
	}
	return nil
}

// measure compares a parameter before, after, and after rounding.
func measure(name string, before, after, rounded []float32) Fused {
	c := Fused{Name: name}
	var squares, lost float64
	for i, v := range after {
		d := v - before[i]
		if d < 0 {
			d = -d
		}
		c.MaxDelta = max(c.MaxDelta, d)
		squares += float64(d) * float64(d)
		e := float64(rounded[i]) - float64(v)
		lost += e * e
	}
	c.Norm = math.Sqrt(squares)
	if squares > 0 {
		c.Lost = math.Sqrt(lost / squares)
	}
	return c
}
