package optim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// State is what a rule remembers of one point. Init makes every entry with its final size; afterwards only the contents change, so
// that a saved state can be put back exactly.
type State struct {
	Buffers  map[string][]float32
	Scalars  map[string]float64
	Counters map[string]int64
}

// Array is one named array of a saved optimizer. Exactly one of the slices is set.
type Array struct {
	Name string
	F32  []float32
	F64  []float64
	I64  []int64
}

// stepArray names the optimizer's step counter among the arrays; those of points hold a slash.
const stepArray = "step"

// State returns everything the optimizer needs to continue bit for bit after Load: the step counter and every point's state, named
// "point/entry", in an order that depends on the points alone. Buffers are the optimizer's own memory: save or copy them before the
// next step.
func (o *Optimizer) State() []Array {
	arrays := []Array{{Name: stepArray, I64: []int64{o.step}}}
	for _, u := range o.units {
		prefix := u.point.Name() + "/"
		for _, k := range slices.Sorted(maps.Keys(u.state.Buffers)) {
			arrays = append(arrays, Array{Name: prefix + k, F32: u.state.Buffers[k]})
		}
		for _, k := range slices.Sorted(maps.Keys(u.state.Scalars)) {
			arrays = append(arrays, Array{Name: prefix + k, F64: []float64{u.state.Scalars[k]}})
		}
		for _, k := range slices.Sorted(maps.Keys(u.state.Counters)) {
			arrays = append(arrays, Array{Name: prefix + k, I64: []int64{u.state.Counters[k]}})
		}
	}
	return arrays
}

// Load puts back what State of an optimizer with the same rule and points returned; the arrays may come in any order. An array that
// is missing, unknown, repeated or of another kind or size is an error, and then nothing has changed. The values of the points are
// the caller's to put back, after New, because a rule's Init may rewrite them.
func (o *Optimizer) Load(saved []Array) error {
	byName := make(map[string]Array, len(saved))
	for _, a := range saved {
		if _, repeated := byName[a.Name]; repeated {
			return fmt.Errorf("optim: saved state: array %q occurs twice", a.Name)
		}
		byName[a.Name] = a
	}
	current := o.State()
	for _, want := range current {
		got, ok := byName[want.Name]
		if !ok {
			return fmt.Errorf("optim: saved state lacks %q; it was made by another rule or for other points", want.Name)
		}
		if got.kind() != want.kind() {
			return fmt.Errorf("optim: saved state: %q holds %s, expected %s; it was made by another rule or for other shapes",
				want.Name, got.kind(), want.kind())
		}
		delete(byName, want.Name)
	}
	if len(byName) > 0 {
		return fmt.Errorf("optim: saved state: nothing here is called %q; it was made by another rule or for other points",
			slices.Min(slices.Collect(maps.Keys(byName))))
	}
	o.restore(saved)
	return nil
}

// kind describes the type and size of the array.
func (a Array) kind() string {
	var kinds []string
	if a.F32 != nil {
		kinds = append(kinds, fmt.Sprintf("%d float32", len(a.F32)))
	}
	if a.F64 != nil {
		kinds = append(kinds, fmt.Sprintf("%d float64", len(a.F64)))
	}
	if a.I64 != nil {
		kinds = append(kinds, fmt.Sprintf("%d int64", len(a.I64)))
	}
	if kinds == nil {
		return "nothing"
	}
	return strings.Join(kinds, " and ")
}

// restore copies arrays that Load has checked.
func (o *Optimizer) restore(saved []Array) {
	byName := make(map[string]Array, len(saved))
	for _, a := range saved {
		byName[a.Name] = a
	}
	o.step = byName[stepArray].I64[0]
	for _, u := range o.units {
		prefix := u.point.Name() + "/"
		for k, buf := range u.state.Buffers {
			copy(buf, byName[prefix+k].F32)
		}
		for k := range u.state.Scalars {
			u.state.Scalars[k] = byName[prefix+k].F64[0]
		}
		for k := range u.state.Counters {
			u.state.Counters[k] = byName[prefix+k].I64[0]
		}
	}
}

// StateBytes returns the memory that the rule's state takes.
func (o *Optimizer) StateBytes() int64 {
	var n int64
	for _, a := range o.State() {
		n += 4*int64(len(a.F32)) + 8*int64(len(a.F64)+len(a.I64))
	}
	return n
}
