package kernel_test

import (
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refProduct returns x·Wᵀ for x of rows by in.
func refProduct(x, w []float64, in, out int, inOut bool) []float64 {
	rows := len(x) / in
	y := make([]float64, rows*out)
	for r := range rows {
		for o := range out {
			for i := range in {
				y[r*out+o] += x[r*in+i] * refWeight(w, in, out, o, i, inOut)
			}
		}
	}
	return y
}

// refWeight returns the weight from input i to output o.
func refWeight(w []float64, in, out, o, i int, inOut bool) float64 {
	if inOut {
		return w[i*out+o]
	}
	return w[o*in+i]
}

// addRow adds scale·b to each row of y, in place.
func addRow(y []float64, scale float64, b []float64) []float64 {
	for i := range y {
		y[i] += scale * b[i%len(b)]
	}
	return y
}

func refLinear(k kernel.Linear, in, out int) func(x [][]float64) []float64 {
	return func(x [][]float64) []float64 {
		y := refProduct(x[0], x[1], in, out, k.InOut)
		if k.Bias {
			addRow(y, 1, x[2])
		}
		return y
	}
}

// weightShape returns the shape in which a weight is stored.
func weightShape(in, out int, inOut bool) []int {
	if inOut {
		return []int{in, out}
	}
	return []int{out, in}
}

func linearCase(name string, k kernel.Linear, x []int, out int, store ...kernel.DType) kerneltest.Case {
	in := x[len(x)-1]
	xs := []*kernel.Tensor{kerneltest.Normal(1, x...), kerneltest.Scaled(2, 0.3, weightShape(in, out, k.InOut)...)}
	if k.Bias {
		xs = append(xs, kerneltest.Normal(3, out))
	}
	for i, d := range store {
		xs[1+i] = kerneltest.Stored(xs[1+i], d)
	}
	return kerneltest.Case{Name: name, Kernel: k, X: xs, Ref: refLinear(k, in, out)}
}

func TestLinear(t *testing.T) {
	bad := linearCase("odd", kernel.Linear{Bias: true}, []int{2, 3, 5}, 7)
	bad.Bad = [][]kernel.Spec{
		{spec(2, 3, 5), spec(7, 5)},                      // bias missing
		{spec(2, 3, 5), spec(7, 6), spec(7)},             // width
		{spec(2, 3, 5), spec(5, 7), spec(7)},             // layout
		{spec(2, 3, 5), spec(7, 5), spec(5)},             // bias length
		{spec(2, 3, 5), spec(7, 5), spec(1, 7)},          // bias rank
		{spec(2, 3, 5), spec(35), spec(7)},               // weight rank
		{spec(), spec(7, 5), spec(7)},                    // x rank
		{specI32(2, 3, 5), spec(7, 5), spec(7)},          // ids instead of x
		{spec(2, 3, 5), specI32(7, 5), spec(7)},          // integer weight
		{spec(2, 3, 5), spec(7, 5), spec(7), spec(2, 3)}, // one too many
	}
	kerneltest.Run(t, bad,
		linearCase("one", kernel.Linear{}, []int{1, 1}, 1),
		linearCase("vector", kernel.Linear{Bias: true}, []int{4}, 3),
		linearCase("in out", kernel.Linear{Bias: true, InOut: true}, []int{3, 2, 9}, 4),
		linearCase("many rows", kernel.Linear{Bias: true}, []int{3, 67, 20}, 150),
		linearCase("frozen", kernel.Linear{Bias: true}, []int{2, 5, 8}, 6, kernel.F32, kernel.F32),
		linearCase("bf16", kernel.Linear{Bias: true}, []int{2, 5, 8}, 6, kernel.BF16, kernel.BF16),
		linearCase("f16 in out", kernel.Linear{Bias: true, InOut: true}, []int{2, 5, 8}, 6, kernel.F16),
	)
}
