package kernel_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refLoss returns the summed cross-entropy of rows of logits.
func refLoss(logits, targets []float64) float64 {
	v := len(logits) / len(targets)
	loss := 0.0
	for r, target := range targets {
		if target == -100 {
			continue
		}
		x := logits[r*v : (r+1)*v]
		top, sum := math.Inf(-1), 0.0
		for _, l := range x {
			top = math.Max(top, l)
		}
		for _, l := range x {
			sum += math.Exp(l - top)
		}
		loss += math.Log(sum) + top - x[int(target)]
	}
	return loss
}

// targets returns random targets of which every third is ignored, but not the first.
func targets(v int, shape ...int) *kernel.Tensor {
	t := kerneltest.IDs(8, v, shape...)
	for i := 1; i < len(t.I32); i += 3 {
		t.I32[i] = -100
	}
	return t
}

func crossEntropyCase(name string, std float64, v int, rows ...int) kerneltest.Case {
	x := []*kernel.Tensor{kerneltest.Scaled(1, std, append(append([]int{}, rows...), v)...), targets(v, rows...)}
	return kerneltest.Case{Name: name, Kernel: kernel.CrossEntropy{}, X: x, Ref: func(x [][]float64) []float64 { return []float64{refLoss(x[0], x[1])} }}
}

func TestCrossEntropy(t *testing.T) {
	all := crossEntropyCase("all ignored", 1, 5, 3)
	for i := range all.X[1].I32 {
		all.X[1].I32[i] = -100
	}
	all.Bad = [][]kernel.Spec{
		{spec(2, 3, 5)},                   // targets missing
		{spec(2, 3, 5), spec(2, 3)},       // targets in float
		{spec(2, 3, 5), specI32(2, 3, 5)}, // a target for each logit
		{spec(2, 3, 5), specI32(6)},       // flattened
		{spec(2, 0), specI32(2)},          // no classes
		{spec(), specI32()},               // no axis
	}
	shift := crossEntropyCase("large logits", 20, 40, 4)
	for i := range shift.X[0].F32 {
		shift.X[0].F32[i] += 500
	}
	kerneltest.Run(t, all, shift,
		crossEntropyCase("one", 1, 2, 1, 1),
		crossEntropyCase("odd", 2, 7, 2, 5),
		crossEntropyCase("wide", 3, 5003, 2, 3),
		crossEntropyCase("many rows", 1, 100, 3, 170))
}

func lmLossCase(name string, k kernel.LMLoss, d, v int, rows ...int) kerneltest.Case {
	x := []*kernel.Tensor{kerneltest.Normal(1, append(append([]int{}, rows...), d)...), kerneltest.Scaled(2, 0.3, weightShape(d, v, k.InOut)...)}
	if k.Bias {
		x = append(x, kerneltest.Normal(3, v))
	}
	x = append(x, targets(v, rows...))
	ref := func(x [][]float64) []float64 {
		logits := refProduct(x[0], x[1], d, v, k.InOut)
		if k.Bias {
			addRow(logits, 1, x[2])
		}
		return []float64{refLoss(logits, x[len(x)-1])}
	}
	return kerneltest.Case{Name: name, Kernel: k, X: x, Ref: ref}
}

func TestLMLoss(t *testing.T) {
	for i := range 4 {
		k := kernel.LMLoss{Bias: i&1 > 0, InOut: i&2 > 0}
		kerneltest.Run(t,
			lmLossCase(fmt.Sprintf("a tile %+v", k), k, 5, 13, 2, 4),
			lmLossCase(fmt.Sprintf("several tiles %+v", k), k, 6, 2100, 3, 70))
	}
	bad := lmLossCase("frozen head", kernel.LMLoss{Bias: true}, 6, 9, 7)
	bad.X[1] = kerneltest.Stored(bad.X[1], kernel.BF16)
	bad.X[2] = kerneltest.Stored(bad.X[2], kernel.BF16)
	bad.Bad = [][]kernel.Spec{
		{spec(7, 6), spec(9, 6), specI32(7)},          // bias missing
		{spec(7, 6), spec(9, 6), spec(6), specI32(7)}, // bias length
		{spec(7, 6), spec(6, 9), spec(9), specI32(7)}, // layout
		{spec(7, 6), spec(9, 6), spec(9), specI32(6)}, // number of targets
		{spec(7, 6), spec(9, 6), spec(9), spec(7)},    // targets in float
		{spec(), spec(9, 6), spec(9), specI32(7)},     // no axis
	}
	none := lmLossCase("no target", kernel.LMLoss{}, 4, 9, 3)
	for i := range none.X[2].I32 {
		none.X[2].I32[i] = -100
	}
	kerneltest.Run(t, bad, none,
		lmLossCase("one", kernel.LMLoss{}, 1, 2, 1),
		lmLossCase("large logits", kernel.LMLoss{}, 400, 1100, 2, 5))
}

func TestTargetsOutOfRangeAreNamed(t *testing.T) {
	logits := kernel.New(2, 3)
	for _, target := range []int32{-1, 3} {
		x := []*kernel.Tensor{logits, {DType: kernel.I32, Shape: kernel.Shape{2}, I32: []int32{0, target}}}
		got := panics(func() {
			kernel.CrossEntropy{}.Forward(&kernel.Call{X: x, Y: kernel.New(1), Scratch: make([]float32, 2)})
		})
		if want := fmt.Sprintf("target %d of token 1; expected 0 to 2, or -100", target); !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q in it", got, want)
		}
	}
}

func TestLMLossHoldsOnlyABlockOfLogits(t *testing.T) {
	in := []kernel.Spec{spec(8, 1024, 64), spec(128<<10, 64), specI32(8, 1024)}
	p, err := kernel.LMLoss{}.Plan(in, []bool{true, true, false})
	if err != nil {
		t.Fatal(err)
	}
	tokens := 8 * 1024
	if h := tokens * 64; p.ForwardScratch > h || p.BackwardScratch > h+1024*tokens || p.Saved > h+2*tokens {
		t.Errorf("%+v: want no more than h, two floats a token, and in Backward 1024 logits of each token", p)
	}
}
