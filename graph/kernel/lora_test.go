package kernel_test

import (
	"fmt"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// operands hands out the inputs of a kernel one after the other.
type operands[T any] []T

func (o *operands[T]) next(present bool) (v T) {
	if present {
		v, *o = (*o)[0], (*o)[1:]
	}
	return v
}

func refLoRA(k kernel.LoRA, in, out, rank int) func(x [][]float64) []float64 {
	return func(all [][]float64) []float64 {
		o := operands[[]float64](all)
		x, w, bias := o.next(true), o.next(true), o.next(k.Bias)
		a, b, extra, xd := o.next(true), o.next(true), o.next(k.LoRABias), o.next(k.Dropped)
		a0, b0 := o.next(k.Carried), o.next(k.Carried)
		if xd == nil {
			xd = x
		}
		y := refProduct(x, w, in, out, k.InOut)
		update := refProduct(refProduct(xd, a, in, rank, false), b, rank, out, false)
		if extra != nil {
			addRow(update, 1, extra)
		}
		if bias != nil {
			addRow(y, 1, bias)
		}
		if k.Carried {
			rank := len(a0) / in
			addRow(y, -float64(k.Scale), refProduct(refProduct(x, a0, in, rank, false), b0, rank, out, false))
		}
		return addRow(y, float64(k.Scale), update)
	}
}

// adapted returns random inputs of a linear map with a low-rank update; extra may be nil.
func adapted(x []int, out, rank int, bias, inOut bool, extra *kernel.Tensor, dropped bool) []*kernel.Tensor {
	in := x[len(x)-1]
	xs := []*kernel.Tensor{kerneltest.Normal(1, x...), kerneltest.Scaled(2, 0.3, weightShape(in, out, inOut)...)}
	if bias {
		xs = append(xs, kerneltest.Normal(3, out))
	}
	xs = append(xs, kerneltest.Scaled(4, 0.3, rank, in), kerneltest.Scaled(5, 0.3, out, rank))
	if extra != nil {
		xs = append(xs, extra)
	}
	if dropped {
		xs = append(xs, kerneltest.Normal(6, x...))
	}
	return xs
}

func loraCase(name string, k kernel.LoRA, x []int, out, rank int) kerneltest.Case {
	var extra *kernel.Tensor
	if k.LoRABias {
		extra = kerneltest.Normal(7, out)
	}
	xs := adapted(x, out, rank, k.Bias, k.InOut, extra, k.Dropped)
	c := kerneltest.Case{Name: name, Kernel: k, X: xs, Ref: refLoRA(k, x[len(x)-1], out, rank)}
	if k.Carried {
		c.Constant = []int{len(xs), len(xs) + 1}
		c.X = append(c.X, kerneltest.Scaled(8, 0.3, rank+1, x[len(x)-1]), kerneltest.Scaled(9, 0.3, out, rank+1))
	}
	return c
}

func TestLoRA(t *testing.T) {
	for i := range 32 {
		k := kernel.LoRA{Scale: 1.5, Bias: i&1 > 0, InOut: i&2 > 0, LoRABias: i&4 > 0, Dropped: i&8 > 0, Carried: i&16 > 0}
		kerneltest.Run(t, loraCase(fmt.Sprintf("%+v", k), k, []int{2, 3, 5}, 7, 3))
	}
	odd := loraCase("bad inputs", kernel.LoRA{Scale: 2}, []int{2, 3, 5}, 7, 3)
	odd.Bad = [][]kernel.Spec{
		{spec(2, 3, 5), spec(7, 5), spec(3, 5)},                            // B missing
		{spec(2, 3, 5), spec(7, 5), spec(3, 6), spec(7, 3)},                // A width
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 2)},                // ranks differ
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(3, 7)},                // B transposed
		{spec(2, 3, 5), spec(7, 5), spec(15), spec(7, 3)},                  // A rank
		{spec(2, 3, 5), spec(7, 5), specI32(3, 5), spec(7, 3)},             // integer A
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3), spec(2, 3, 5)}, // xd not announced
		{spec(5), specI32(7, 5), spec(3, 5), spec(7, 3)},                   // integer weight
		{spec(2, 3, 4), spec(7, 5), spec(3, 5), spec(7, 3)},                // x width
	}
	frozen := loraCase("frozen weight and biases", kernel.LoRA{Scale: 2, Bias: true, LoRABias: true}, []int{2, 5, 8}, 6, 2)
	frozen.X[1] = kerneltest.Stored(frozen.X[1], kernel.BF16)
	frozen.X[2] = kerneltest.Stored(frozen.X[2], kernel.F16)
	frozen.X[5] = kerneltest.Stored(frozen.X[5], kernel.BF16)
	applied := loraCase("nothing trained but x", kernel.LoRA{Scale: 2}, []int{9, 8}, 6, 2)
	for i, x := range applied.X[1:] {
		applied.X[1+i] = kerneltest.Stored(x, kernel.F32)
	}
	carried := loraCase("bad carried inputs", kernel.LoRA{Scale: 2, Carried: true}, []int{2, 3, 5}, 7, 3)
	carried.Bad = [][]kernel.Spec{
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3)},                            // A0 and B0 missing
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3), spec(4, 5)},                // B0 missing
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3), spec(4, 6), spec(7, 4)},    // A0 width
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3), spec(4, 5), spec(7, 3)},    // ranks differ
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3), spec(20), spec(7, 4)},      // A0 no matrix
		{spec(2, 3, 5), spec(7, 5), spec(3, 5), spec(7, 3), specI32(4, 5), spec(7, 4)}, // integer A0
	}
	kept := loraCase("frozen carried factors", kernel.LoRA{Scale: 2, Carried: true}, []int{9, 8}, 6, 2)
	kept.X[4], kept.X[5] = kerneltest.Stored(kept.X[4], kernel.F32), kerneltest.Stored(kept.X[5], kernel.F32)
	kerneltest.Run(t, odd, frozen, applied, carried, kept,
		loraCase("many rows, carried", kernel.LoRA{Scale: 2, Bias: true, LoRABias: true, Carried: true}, []int{2, 90, 40}, 120, 5),
		loraCase("one", kernel.LoRA{Scale: 1, Bias: true}, []int{1, 1}, 1, 1),
		loraCase("rank above width", kernel.LoRA{Scale: 0.25}, []int{1, 4, 3}, 2, 8),
		loraCase("many rows", kernel.LoRA{Scale: 2, Bias: true, LoRABias: true}, []int{2, 90, 40}, 120, 5))
}

// TestConstantFactorsHaveNoGradient: they are no place to learn anything.
func TestConstantFactorsHaveNoGradient(t *testing.T) {
	c := loraCase("", kernel.LoRA{Scale: 2, Carried: true}, []int{4, 9}, 5, 3)
	var in []kernel.Spec
	for _, x := range c.X {
		in = append(in, x.Spec())
	}
	for i := range 2 {
		need := make([]bool, len(in))
		need[4+i] = true
		if _, err := c.Kernel.Plan(in, need); err == nil {
			t.Errorf("a gradient of constant factor %d is planned", i)
		}
	}
}

// TestLoRAAtItsStartIsTheLinearMap: factors that are carried along too cancel.
func TestLoRAAtItsStartIsTheLinearMap(t *testing.T) {
	k := kernel.LoRA{Scale: 2, Carried: true}
	c := loraCase("", k, []int{4, 9}, 5, 3)
	c.X[4], c.X[5] = c.X[2], c.X[3]
	y, base := kernel.New(4, 5), kernel.New(4, 5)
	k.Forward(&kernel.Call{X: c.X, Y: y, Scratch: make([]float32, 2*4*3)})
	kernel.Linear{}.Forward(&kernel.Call{X: c.X[:2], Y: base})
	for i, want := range base.F32 {
		if d := y.F32[i] - want; d > 1e-6 || d < -1e-6 {
			t.Errorf("element %d is %v, without adapter %v", i, y.F32[i], want)
		}
	}
}

func TestLoRAWithZeroBIsTheLinearMap(t *testing.T) {
	c := loraCase("", kernel.LoRA{Scale: 2, Bias: true}, []int{4, 9}, 5, 3)
	clear(c.X[4].F32)
	y, base := kernel.New(4, 5), kernel.New(4, 5)
	scratch := make([]float32, 4*3)
	c.Kernel.Forward(&kernel.Call{X: c.X, Y: y, Scratch: scratch})
	kernel.Linear{Bias: true}.Forward(&kernel.Call{X: c.X[:3], Y: base})
	for i := range y.F32 {
		if y.F32[i] != base.F32[i] {
			t.Fatalf("element %d is %v, without adapter %v", i, y.F32[i], base.F32[i])
		}
	}
}
