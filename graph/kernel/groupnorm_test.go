package kernel_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refGroupNorm normalises images of the given shape by the definition.
func refGroupNorm(k kernel.GroupNorm, shape []int) func(x [][]float64) []float64 {
	pixels := kernel.Shape(shape[2:]).Size()
	n := shape[1] / k.Groups * pixels
	return func(in [][]float64) []float64 {
		x, w, b := in[0], in[1], in[2]
		y := make([]float64, len(x))
		for at := 0; at < len(x); at += n {
			mean, variance := 0.0, 0.0
			for _, v := range x[at : at+n] {
				mean += v / float64(n)
			}
			for _, v := range x[at : at+n] {
				variance += (v - mean) * (v - mean) / float64(n)
			}
			for j, v := range x[at : at+n] {
				c := (at + j) / pixels % len(w)
				y[at+j] = (v-mean)/math.Sqrt(variance+float64(k.Eps))*w[c] + b[c]
			}
		}
		return y
	}
}

// groupInputs returns x of the given shape, w and b.
func groupInputs(shape ...int) []*kernel.Tensor {
	return []*kernel.Tensor{kerneltest.Normal(1, shape...), kerneltest.Normal(2, shape[1]), kerneltest.Normal(3, shape[1])}
}

func TestGroupNorm(t *testing.T) {
	bad := [][]kernel.Spec{
		{spec(2, 6, 4, 4), spec(6)},
		{spec(2, 6, 4, 4), spec(6), spec(4)},
		{spec(2, 6, 4, 4), spec(4), spec(4)},
		{spec(2, 6, 4, 4), spec(6, 1), spec(6, 1)},
		{spec(6), spec(6), spec(6)},
		{spec(2, 6, 0, 4), spec(6), spec(6)},
		{spec(2, 0, 4, 4), spec(0), spec(0)},
		{spec(2, 6, 4, 4), specI32(6), spec(6)},
		{specI32(2, 6, 4, 4), spec(6), spec(6)},
	}
	gradTol := 1e-6
	run := func(name string, groups int, x ...*kernel.Tensor) {
		k := kernel.GroupNorm{Groups: groups, Eps: 1e-5}
		kerneltest.Run(t, kerneltest.Case{
			Name: fmt.Sprintf("%s %v by %d", name, x[0].Shape, groups), Kernel: k, X: x, Ref: refGroupNorm(k, x[0].Shape), Tol: 5e-7, GradTol: gradTol, Bad: bad,
		})
	}
	stored := func(x []*kernel.Tensor, w, b kernel.DType) []*kernel.Tensor {
		return []*kernel.Tensor{x[0], kerneltest.Stored(x[1], w), kerneltest.Stored(x[2], b)}
	}
	run("odd", 3, groupInputs(2, 6, 5, 7)...)
	run("one group", 1, groupInputs(3, 4, 3, 3)...)
	run("a group for each channel", 5, groupInputs(2, 5, 4, 3)...)
	run("no pixels", 2, groupInputs(3, 14)...)
	run("one pixel", 4, groupInputs(2, 24, 1, 1)...)
	run("a line", 2, groupInputs(2, 4, 37)...)
	run("a volume", 2, groupInputs(1, 4, 3, 2, 5)...)
	run("no images", 2, groupInputs(0, 4, 3, 3)...)
	run("wide", 2, groupInputs(1, 2, 33, 35)...)
	run("many images", 2, groupInputs(70, 4, 3, 2)...)
	run("several threads", 4, groupInputs(2, 16, 32, 32)...)
	off := groupInputs(2, 4, 6, 5)
	run("off centre", 2, shifted(off[0], 4), off[1], off[2])
	run("frozen bf16", 3, stored(groupInputs(2, 6, 5, 5), kernel.BF16, kernel.F16)...)
	run("frozen f32", 3, stored(groupInputs(2, 6, 5, 5), kernel.F32, kernel.F32)...)
	half := groupInputs(2, 6, 5, 5)
	run("frozen w", 3, half[0], kerneltest.Stored(half[1], kernel.F16), half[2])

	gradTol = 2e-2 // two normalised values are ±1: the gradient is nothing but rounding and Eps
	run("two values", 1, groupInputs(1, 2)...)
}

func TestGroupNormRefusesGroupsThatDoNotFit(t *testing.T) {
	for _, groups := range []int{-1, 0, 4, 12} {
		_, err := kernel.GroupNorm{Groups: groups}.Plan([]kernel.Spec{spec(2, 6, 4, 4), spec(6), spec(6)}, make([]bool, 3))
		if want := fmt.Sprintf("%d groups of 6 channels", groups); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, expected an error with %q", err, want)
		}
	}
}

// A group without any variation has no direction: only the bias remains.
func TestGroupNormOfConstantGroupIsBias(t *testing.T) {
	x := groupInputs(2, 6, 5, 5)
	y := kernel.New(2, 6, 5, 5)
	for i := range x[0].F32 {
		x[0].F32[i] = float32(i/50) - 2 // each group another constant
	}
	kernel.GroupNorm{Groups: 3, Eps: 1e-5}.Forward(&kernel.Call{X: x, Y: y})
	for i, v := range y.F32 {
		if want := x[2].F32[i/25%6]; v != want {
			t.Fatalf("element %d is %v, want %v", i, v, want)
		}
	}
}

// A NaN spoils its own group and the gradients of that group's channels, and nothing else.
func TestGroupNormKeepsNaNInItsGroup(t *testing.T) {
	k, x := kernel.GroupNorm{Groups: 3, Eps: 1e-5}, groupInputs(2, 6, 5, 5)
	const image, group = 1, 1
	x[0].F32[image*150+group*50+30] = float32(math.NaN())
	p, err := k.Plan([]kernel.Spec{x[0].Spec(), x[1].Spec(), x[2].Spec()}, []bool{true, true, true})
	if err != nil {
		t.Fatal(err)
	}
	c := kernel.Call{X: x, Y: kernel.New(p.Out...), DY: kerneltest.Normal(4, p.Out...), Saved: make([]float32, p.Saved), Scratch: make([]float32, p.ForwardScratch)}
	k.Forward(&c)
	c.DX = []*kernel.Tensor{kernel.New(p.Out...), kernel.New(6), kernel.New(6)}
	c.Scratch = make([]float32, p.BackwardScratch)
	k.Backward(&c)
	for what, values := range map[string][]float32{"y": c.Y.F32, "dx": c.DX[0].F32} {
		for i, v := range values {
			if spoilt := i/50 == image*3+group; spoilt != (v != v) {
				t.Fatalf("%s: element %d is %v", what, i, v)
			}
		}
	}
	for i := range 6 {
		if dw, db := c.DX[1].F32[i], c.DX[2].F32[i]; (dw != dw) != (i/2 == group) || db != db {
			t.Errorf("channel %d has gradients %v and %v", i, dw, db)
		}
	}
}
