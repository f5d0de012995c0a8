package kernel_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refNorms returns the norms of the output features of W + scale·B·A.
func refNorms(w, a, b []float64, scale float64, in, out, rank int, inOut bool) []float64 {
	norms := make([]float64, out)
	for o := range out {
		for i := range in {
			v := refWeight(w, in, out, o, i, inOut)
			for q := range rank {
				v += scale * b[o*rank+q] * a[q*in+i]
			}
			norms[o] += v * v
		}
		norms[o] = math.Sqrt(norms[o])
	}
	return norms
}

// refDoRA is PEFT's forward pass with the norms taken at another point.
func refDoRA(k kernel.DoRA, in, out, rank int) func(x, at [][]float64) []float64 {
	return func(all, at [][]float64) []float64 {
		o := operands[[]float64](all)
		x, w, bias := o.next(true), o.next(true), o.next(k.Bias)
		a, b, m, xd := o.next(true), o.next(true), o.next(true), o.next(k.Dropped)
		if xd == nil {
			xd = x
		}
		fixed := operands[[]float64](at)
		fixed.next(true)
		w0 := fixed.next(true)
		fixed.next(k.Bias)
		norms := refNorms(w0, fixed.next(true), fixed.next(true), float64(k.Scale), in, out, rank, k.InOut)
		y := refProduct(x, w, in, out, k.InOut)
		base := refProduct(xd, w, in, out, k.InOut)
		update := refProduct(refProduct(xd, a, in, rank, false), b, rank, out, false)
		for i := range y {
			c := m[i%out] / norms[i%out]
			y[i] += (c-1)*base[i] + c*float64(k.Scale)*update[i]
		}
		if bias != nil {
			addRow(y, 1, bias)
		}
		return y
	}
}

func doraCase(name string, k kernel.DoRA, x []int, out, rank int) kerneltest.Case {
	m := kerneltest.Normal(7, out)
	xs := adapted(x, out, rank, k.Bias, k.InOut, m, k.Dropped)
	return kerneltest.Case{Name: name, Kernel: k, X: xs, RefAt: refDoRA(k, x[len(x)-1], out, rank)}
}

func TestDoRA(t *testing.T) {
	for i := range 8 {
		k := kernel.DoRA{Scale: 1.5, Bias: i&1 > 0, InOut: i&2 > 0, Dropped: i&4 > 0}
		kerneltest.Run(t, doraCase(fmt.Sprintf("%+v", k), k, []int{2, 3, 5}, 7, 3))
	}
	bad := doraCase("frozen weight, bias and magnitude", kernel.DoRA{Scale: 2, Bias: true}, []int{2, 5, 8}, 6, 2)
	bad.X[1] = kerneltest.Stored(bad.X[1], kernel.BF16)
	bad.X[2] = kerneltest.Stored(bad.X[2], kernel.BF16)
	bad.X[5] = kerneltest.Stored(bad.X[5], kernel.F32)
	bad.Bad = [][]kernel.Spec{
		{spec(2, 5), spec(7, 5), spec(7), spec(3, 5), spec(7, 3)},             // m missing
		{spec(2, 5), spec(7, 5), spec(7), spec(3, 5), spec(7, 3), spec(5)},    // m length
		{spec(2, 5), spec(7, 5), spec(7), spec(3, 5), spec(7, 3), spec(7, 1)}, // m rank
		{spec(2, 5), spec(7, 5), spec(7), spec(3, 5), spec(3, 7), spec(7)},    // B transposed
	}
	zeroMagnitude := doraCase("zero magnitude", kernel.DoRA{Scale: 2, Bias: true}, []int{4, 6}, 5, 2)
	clear(zeroMagnitude.X[5].F32[:2])
	half := doraCase("f16 in out", kernel.DoRA{Scale: 2, InOut: true}, []int{3, 6}, 5, 2)
	half.X[1] = kerneltest.Stored(half.X[1], kernel.F16)
	kerneltest.Run(t, bad, zeroMagnitude, half,
		doraCase("one", kernel.DoRA{Scale: 1}, []int{1, 1}, 1, 1),
		doraCase("many rows", kernel.DoRA{Scale: 2, Bias: true, Dropped: true}, []int{2, 90, 40}, 120, 5),
		doraCase("wide in out", kernel.DoRA{Scale: 2, InOut: true}, []int{3, 300}, 310, 4))
}

func TestDoRAStartsAsTheLinearMap(t *testing.T) {
	c := doraCase("", kernel.DoRA{Scale: 2}, []int{6, 9}, 5, 3)
	clear(c.X[3].F32)
	for o := range 5 {
		square := 0.0
		for _, v := range c.X[1].F32[o*9 : (o+1)*9] {
			square += float64(v) * float64(v)
		}
		c.X[4].F32[o] = float32(math.Sqrt(square))
	}
	p, err := c.Kernel.Plan([]kernel.Spec{c.X[0].Spec(), c.X[1].Spec(), c.X[2].Spec(), c.X[3].Spec(), c.X[4].Spec()}, make([]bool, 5))
	if err != nil {
		t.Fatal(err)
	}
	y, base := kernel.New(6, 5), kernel.New(6, 5)
	c.Kernel.Forward(&kernel.Call{X: c.X, Y: y, Scratch: make([]float32, p.ForwardScratch)})
	kernel.Linear{}.Forward(&kernel.Call{X: c.X[:2], Y: base})
	for i := range y.F32 {
		if math.Abs(float64(y.F32[i]-base.F32[i])) > 1e-6 {
			t.Errorf("element %d is %v, without adapter %v", i, y.F32[i], base.F32[i])
		}
	}
}
