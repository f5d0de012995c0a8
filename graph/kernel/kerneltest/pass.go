package kerneltest

import (
	"fmt"
	"math"
	"slices"

	"github.com/geotune/geotune/graph/kernel"
)

// pass is one execution of a case's kernel: private copies of the inputs, and memory that starts full of NaN.
type pass struct {
	kernel  kernel.Kernel
	plan    kernel.Plan
	call    kernel.Call
	forward []float32 // scratch of each pass
	back    []float32
}

// newPass plans the kernel for the wanted gradients and lays out its memory. DY is filled by weights.
func newPass(c *Case, need []bool) (*pass, error) {
	pl, err := plan(c.Kernel, c.specs(), need)
	if err != nil {
		return nil, err
	}
	p := &pass{kernel: c.Kernel, plan: pl, forward: nans(pl.ForwardScratch), back: nans(pl.BackwardScratch)}
	p.call = kernel.Call{
		X:     make([]*kernel.Tensor, len(c.X)),
		Y:     kernel.FromF32(nans(pl.Out.Size()), pl.Out...),
		DY:    weights(pl.Out),
		DX:    make([]*kernel.Tensor, len(c.X)),
		Saved: nans(pl.Saved),
	}
	for i, x := range c.X {
		p.call.X[i] = clone(x)
		if need[i] {
			p.call.DX[i] = kernel.FromF32(nans(x.Len()), x.Shape...)
		}
	}
	return p, nil
}

// runForward executes Forward, with Backward's memory out of its sight.
func (p *pass) runForward() {
	c := p.call
	c.DY, c.DX, c.Scratch = nil, nil, p.forward
	p.kernel.Forward(&c)
}

// runBackward executes Backward.
func (p *pass) runBackward() {
	c := p.call
	c.Scratch = p.back
	p.kernel.Backward(&c)
}

// run executes Forward and Backward for the wanted gradients and returns the pass. prepare may rearrange memory in between.
func run(c *Case, need []bool, prepare func(*pass)) (*pass, error) {
	p, err := newPass(c, need)
	if err != nil {
		return nil, err
	}
	p.runForward()
	if prepare != nil {
		prepare(p)
	}
	if slices.Contains(need, true) {
		p.runBackward()
	}
	return p, nil
}

// sameGradients compares the gradients that both passes computed bit by bit.
func sameGradients(got, want *pass) error {
	for i, dx := range got.call.DX {
		if dx == nil || want.call.DX[i] == nil {
			continue
		}
		if err := sameBits(dx.F32, want.call.DX[i].F32); err != nil {
			return fmt.Errorf("gradient of input %d: %w", i, err)
		}
	}
	return nil
}

// sameBits compares two arrays bit by bit and takes any NaN, which stands for memory never written or never to be read, as a failure.
func sameBits(got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != got[i] || math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			return fmt.Errorf("element %d is %v, want %v", i, got[i], want[i])
		}
	}
	return nil
}

// clone copies a tensor; frozen tensors are shared, because their packed copies are part of them.
func clone(t *kernel.Tensor) *kernel.Tensor {
	if t.Frozen() {
		return t
	}
	return &kernel.Tensor{DType: t.DType, Shape: t.Shape, F32: slices.Clone(t.F32), U16: slices.Clone(t.U16), I32: slices.Clone(t.I32)}
}

// poison overwrites a tensor that nobody may read with NaN, or ids out of any range. Frozen tensors are leaves and stay.
func poison(t *kernel.Tensor) {
	if t.Frozen() {
		return
	}
	fill(t.F32)
	for i := range t.I32 {
		t.I32[i] = math.MinInt32
	}
}

func nans(n int) []float32 {
	s := make([]float32, n)
	fill(s)
	return s
}

func fill(s []float32) {
	nan := float32(math.NaN())
	for i := range s {
		s[i] = nan
	}
}
