package kerneltest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

func inputsUnchanged(c *Case) error {
	before := make([][]float32, len(c.X))
	for i, x := range c.X {
		before[i] = x.Floats()
		if x.Frozen() {
			before[i] = slices.Clone(before[i])
		}
	}
	p, err := run(c, c.differentiable(), nil)
	if err != nil {
		return err
	}
	for i, x := range p.call.X {
		if slices.Contains(c.Writes, i) {
			continue
		}
		if err := sameBits(x.Floats(), before[i]); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	return sameDY(p)
}

// sameDY reports a Backward that wrote into the gradient it was given.
func sameDY(p *pass) error {
	if err := sameBits(p.call.DY.F32, weights(p.plan.Out).F32); err != nil {
		return fmt.Errorf("DY: %w", err)
	}
	return nil
}

func gradientsIndependent(c *Case) error {
	all := c.differentiable()
	want, err := run(c, all, nil)
	if err != nil {
		return err
	}
	none, err := run(c, make([]bool, len(all)), nil)
	if err != nil {
		return err
	}
	if err := sameBits(none.call.Y.F32, want.call.Y.F32); err != nil {
		return fmt.Errorf("output when no gradient is wanted: %w", err)
	}
	for i, need := range all {
		if !need {
			continue
		}
		without := slices.Clone(all)
		without[i] = false
		only := make([]bool, len(all))
		only[i] = true
		for name, variant := range map[string][]bool{"without": without, "only": only} {
			if err := sameAs(c, want, variant, nil); err != nil {
				return fmt.Errorf("planned %s input %d: %w", name, i, err)
			}
		}
		dropped := func(p *pass) { p.call.DX[i] = nil }
		if err := sameAs(c, want, all, dropped); err != nil {
			return fmt.Errorf("DX[%d] = nil: %w", i, err)
		}
	}
	return nil
}

// sameAs runs the case once more and compares the gradients with those of want.
func sameAs(c *Case, want *pass, need []bool, prepare func(*pass)) error {
	got, err := run(c, need, prepare)
	if err != nil {
		return err
	}
	return sameGradients(got, want)
}

func outputOverInput(c *Case) error {
	for _, need := range [][]bool{make([]bool, len(c.X)), c.differentiable()} {
		want, err := newPass(c, need)
		if err != nil {
			return err
		}
		want.runForward()
		for _, i := range want.plan.YOverX {
			got, err := newPass(c, need)
			if err != nil {
				return err
			}
			got.call.Y.F32 = got.call.X[i].F32
			got.runForward()
			if err := sameBits(got.call.Y.F32, want.call.Y.F32); err != nil {
				return fmt.Errorf("input %d: %w", i, err)
			}
		}
	}
	return nil
}

func readsOnlyPlanned(c *Case) error {
	need := c.differentiable()
	if !slices.Contains(need, true) {
		return nil
	}
	want, err := run(c, need, nil)
	if err != nil {
		return err
	}
	err = sameAs(c, want, need, func(p *pass) {
		for i, x := range p.call.X {
			if !slices.Contains(p.plan.ReadsX, i) {
				poison(x)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("inputs not in ReadsX %v overwritten: %w", want.plan.ReadsX, err)
	}
	if want.plan.ReadsY {
		return nil
	}
	if err := sameAs(c, want, need, func(p *pass) { poison(p.call.Y) }); err != nil {
		return fmt.Errorf("output overwritten although ReadsY is false: %w", err)
	}
	return nil
}

func gradientsOverOperands(c *Case) error {
	need := c.differentiable()
	if !slices.Contains(need, true) {
		return nil
	}
	want, err := run(c, need, nil)
	if err != nil {
		return err
	}
	var errs []error
	try := func(list []int, name string, place func(p *pass, i int)) {
		for _, i := range list {
			if !need[i] {
				continue
			}
			if err := sameAs(c, want, need, func(p *pass) { place(p, i) }); err != nil {
				errs = append(errs, fmt.Errorf("gradient of input %d over %s: %w", i, name, err))
			}
		}
	}
	try(want.plan.DXOverDY, "DY", func(p *pass, i int) { p.call.DX[i].F32 = p.call.DY.F32 })
	try(want.plan.DXOverX, "the input", func(p *pass, i int) { p.call.DX[i].F32 = p.call.X[i].F32 })
	return errors.Join(errs...)
}

func sameBitsAnyProcs(c *Case) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	need := c.differentiable()
	want, err := run(c, need, nil)
	if err != nil {
		return err
	}
	for _, n := range []int{2, 3} {
		runtime.GOMAXPROCS(n)
		got, err := run(c, need, nil)
		if err != nil {
			return err
		}
		if err := sameBits(got.call.Y.F32, want.call.Y.F32); err != nil {
			return fmt.Errorf("output with GOMAXPROCS %d against 1: %w", n, err)
		}
		if err := sameGradients(got, want); err != nil {
			return fmt.Errorf("GOMAXPROCS %d against 1: %w", n, err)
		}
	}
	return nil
}

func noAllocations(c *Case) error {
	if c.Allocates {
		return nil
	}
	need := c.differentiable()
	p, err := run(c, need, nil)
	if err != nil {
		return err
	}
	p.call.Scratch = p.forward
	call := p.call
	if n := testing.AllocsPerRun(5, func() { p.kernel.Forward(&call) }); n != 0 {
		return fmt.Errorf("%v in Forward", n)
	}
	if !slices.Contains(need, true) {
		return nil
	}
	call.Scratch = p.back
	if n := testing.AllocsPerRun(5, func() { p.kernel.Backward(&call) }); n != 0 {
		return fmt.Errorf("%v in Backward", n)
	}
	return nil
}
