// Package kerneltest checks that a kernel.Kernel keeps its contract. Every kernel is tested through it: a new one plugs in with a
// file beside its own that holds a table of cases,
//
//	func TestSquare(t *testing.T) {
//		kerneltest.Run(t,
//			kerneltest.Case{Name: "row", Kernel: Square{}, X: []*kernel.Tensor{kerneltest.Normal(1, 3, 5)}, Ref: refSquare},
//			kerneltest.Case{Name: "one", Kernel: Square{}, X: []*kernel.Tensor{kerneltest.Normal(2, 1, 1)}, Ref: refSquare})
//	}
//
// with odd sizes, size 1, several batch sizes and every configuration, and a float64 reference of the forward pass: a few plain
// loops, against which both the output and, by central differences, all gradients are held. Sizes above the kernel's parallel
// grain make the law about GOMAXPROCS meaningful; keep at least one such case per kernel.
//
// [Laws] lists what is checked.
package kerneltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
)

// Case is one kernel together with inputs to run it on.
type Case struct {
	// Name of the subtest.
	Name   string
	Kernel kernel.Kernel
	// X are the inputs. The checks work on copies, except that frozen tensors (which must never be written) are shared.
	X []*kernel.Tensor
	// Constant lists inputs that have no gradient besides those that never have one (not F32, or frozen), e.g. tables.
	Constant []int
	// ForwardOnly says that the kernel has no gradient at all; Backward is not called then.
	ForwardOnly bool
	// Writes lists inputs that Forward changes by design, e.g. caches.
	Writes []int
	// Ref computes the output in float64 from the inputs widened to float64. Without it finite differences of Forward itself are
	// taken, in float32.
	Ref func(x [][]float64) []float64
	// RefAt replaces Ref where part of the forward pass is held constant in the gradient ("detached"): it computes that part from
	// at and the rest from x. The forward pass is RefAt(x, x).
	RefAt func(x, at [][]float64) []float64
	// Tol bounds the largest error of Y against the reference relative to its largest value; default 2e-6.
	Tol float64
	// GradTol bounds the error of a directional derivative along a unit vector relative to the gradient's norm; default 1e-5 with
	// a reference, 5e-3 without.
	GradTol float64
	// Bad are input specifications that Plan must refuse with an error.
	Bad [][]kernel.Spec
	// Allocates excuses the kernel from the law of zero allocations.
	Allocates bool
}

// Laws are the properties that Check tests, each under its name.
var Laws = []struct {
	Name  string
	Check func(*Case) error
}{
	{"plan is consistent", planConsistent},
	{"plan refuses bad inputs", planRefuses},
	{"output equals reference", outputEqualsReference},
	{"gradients equal finite differences", gradientsEqualDifferences},
	{"inputs stay unchanged", inputsUnchanged},
	{"gradients do not depend on which others are wanted", gradientsIndependent},
	{"output may take the place of inputs", outputOverInput},
	{"backward reads only what the plan says", readsOnlyPlanned},
	{"gradients may take the place of operands", gradientsOverOperands},
	{"same bits for any GOMAXPROCS", sameBitsAnyProcs},
	{"no allocation per step", noAllocations},
}

// Check tests all laws on one case.
func Check(t *testing.T, c Case) {
	t.Helper()
	for n, law := range Laws {
		if err := law.Check(&c); err != nil {
			t.Errorf("%v: %s: %v", c.Kernel, law.Name, err)
			if n == 0 {
				return // nothing can be run
			}
		}
	}
}

// Run tests all laws on each case in a subtest of its own.
func Run(t *testing.T, cases ...Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { Check(t, c) })
	}
}

// specs describes the case's inputs.
func (c *Case) specs() []kernel.Spec {
	in := make([]kernel.Spec, len(c.X))
	for i, x := range c.X {
		in[i] = x.Spec()
	}
	return in
}

// differentiable tells which inputs have a gradient.
func (c *Case) differentiable() []bool {
	need := make([]bool, len(c.X))
	if c.ForwardOnly {
		return need
	}
	for i, x := range c.X {
		need[i] = x.DType == kernel.F32 && !x.Frozen()
	}
	for _, i := range c.Constant {
		need[i] = false
	}
	return need
}

// reference returns the float64 reference as a function of x with everything detached held at at, or nil.
func (c *Case) reference() func(x, at [][]float64) []float64 {
	if c.RefAt == nil && c.Ref != nil {
		return func(x, _ [][]float64) []float64 { return c.Ref(x) }
	}
	return c.RefAt
}

// plan calls Plan and turns a panic into an error.
func plan(k kernel.Kernel, in []kernel.Spec, need []bool) (p kernel.Plan, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return k.Plan(in, need)
}

var errPanic = errors.New("plan panics")

func planConsistent(c *Case) error {
	for _, need := range [][]bool{make([]bool, len(c.X)), c.differentiable()} {
		p, err := plan(c.Kernel, c.specs(), need)
		if err != nil {
			return err
		}
		if p.Saved < 0 || p.ForwardScratch < 0 || p.BackwardScratch < 0 {
			return fmt.Errorf("negative memory in %+v", p)
		}
		for _, list := range [][]int{p.ReadsX, p.YOverX, p.DXOverDY, p.DXOverX} {
			for _, i := range list {
				if i < 0 || i >= len(c.X) {
					return fmt.Errorf("input %d of %d listed in %+v", i, len(c.X), p)
				}
			}
		}
		for _, list := range [][]int{p.YOverX, p.DXOverDY} {
			for _, i := range list {
				if c.X[i].DType != kernel.F32 || c.X[i].Len() != p.Out.Size() {
					return fmt.Errorf("input %d (%v) shares memory with the output (%v) but differs in size", i, c.X[i].Shape, p.Out)
				}
			}
		}
	}
	return nil
}

func planRefuses(c *Case) error {
	for n, in := range c.Bad {
		_, err := plan(c.Kernel, in, make([]bool, len(in)))
		if err == nil {
			return fmt.Errorf("case Bad[%d] accepted: %v", n, in)
		}
		if errors.Is(err, errPanic) {
			return fmt.Errorf("case Bad[%d] %v: %w", n, in, err)
		}
	}
	return nil
}
