package kernel_test

import (
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

func refRMSNorm(k kernel.RMSNorm) func(x [][]float64) []float64 {
	return func(in [][]float64) []float64 {
		x, w := in[0], in[1]
		n := len(w)
		y := make([]float64, len(x))
		for at := 0; at < len(x); at += n {
			ms := 0.0
			for _, v := range x[at : at+n] {
				ms += v * v / float64(n)
			}
			for j, v := range x[at : at+n] {
				y[at+j] = v / math.Sqrt(ms+float64(k.Eps)) * (float64(k.Offset) + w[j])
			}
		}
		return y
	}
}

func refLayerNorm(k kernel.LayerNorm) func(x [][]float64) []float64 {
	return func(in [][]float64) []float64 {
		x, w, b := in[0], in[1], in[2]
		n := len(w)
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
				y[at+j] = (v-mean)/math.Sqrt(variance+float64(k.Eps))*w[j] + b[j]
			}
		}
		return y
	}
}

// spec abbreviates an F32 input specification.
func spec(shape ...int) kernel.Spec { return kernel.Spec{Shape: shape} }

func specI32(shape ...int) kernel.Spec { return kernel.Spec{Shape: shape, DType: kernel.I32} }

// shifted returns t with c added to every value.
func shifted(t *kernel.Tensor, c float32) *kernel.Tensor {
	for i := range t.F32 {
		t.F32[i] += c
	}
	return t
}

func TestRMSNorm(t *testing.T) {
	bad := [][]kernel.Spec{
		{spec(2, 8)},
		{spec(2, 8), spec(3)},
		{spec(2, 8), spec(0)},
		{spec(2, 8), spec(2, 4)},
		{spec(2, 8), specI32(8)},
		{specI32(2, 8), spec(8)},
	}
	gradTol := 1e-6
	run := func(name string, k kernel.RMSNorm, x, w *kernel.Tensor) {
		kerneltest.Run(t, kerneltest.Case{Name: name, Kernel: k, X: []*kernel.Tensor{x, w}, Ref: refRMSNorm(k), Tol: 5e-7, GradTol: gradTol, Bad: bad})
	}
	llama, gemma := kernel.RMSNorm{Eps: 1e-5}, kernel.RMSNorm{Eps: 1e-6, Offset: 1}
	run("odd", llama, kerneltest.Normal(1, 2, 3, 37), kerneltest.Normal(2, 37))
	run("gemma", gemma, kerneltest.Normal(5, 3, 5, 16), kerneltest.Scaled(6, 0.1, 16))
	run("heads", llama, kerneltest.Normal(7, 2, 33, 4*8), kerneltest.Normal(8, 8))
	run("many rows", llama, kerneltest.Normal(9, 5, 67, 50), kerneltest.Normal(10, 50))
	run("wide", llama, kerneltest.Normal(11, 3, 1031), kerneltest.Normal(12, 1031))
	run("wide gemma", gemma, kerneltest.Normal(21, 70, 300), kerneltest.Scaled(22, 0.1, 300))
	run("frozen bf16", llama, kerneltest.Normal(15, 2, 5, 24), kerneltest.Stored(kerneltest.Normal(16, 24), kernel.BF16))
	run("frozen f16", gemma, kerneltest.Normal(17, 70, 24), kerneltest.Stored(kerneltest.Normal(18, 24), kernel.F16))
	run("frozen f32", llama, kerneltest.Normal(19, 2, 5, 24), kerneltest.Stored(kerneltest.Normal(20, 24), kernel.F32))

	gradTol = 1e-4 // the step of the finite difference is a tenth of the values
	run("small values", llama, kerneltest.Scaled(13, 1e-3, 4, 21), kerneltest.Normal(14, 21))
	gradTol = 2e-2 // one normalised value is ±1: the gradient is nothing but rounding and Eps
	run("one", llama, kerneltest.Normal(3, 1, 1), kerneltest.Normal(4, 1))
}

func TestLayerNorm(t *testing.T) {
	bad := [][]kernel.Spec{
		{spec(2, 8), spec(8)},
		{spec(2, 8), spec(4), spec(4)},
		{spec(2, 8), spec(8), spec(7)},
		{spec(2, 0), spec(0), spec(0)},
		{spec(2, 8), specI32(8), spec(8)},
		{specI32(2, 8), spec(8), spec(8)},
	}
	gradTol := 1e-6
	run := func(name string, x, w, b *kernel.Tensor) {
		k := kernel.LayerNorm{Eps: 1e-5}
		kerneltest.Run(t, kerneltest.Case{Name: name, Kernel: k, X: []*kernel.Tensor{x, w, b}, Ref: refLayerNorm(k), Tol: 5e-7, GradTol: gradTol, Bad: bad})
	}
	run("odd", kerneltest.Normal(1, 2, 3, 37), kerneltest.Normal(2, 37), kerneltest.Normal(3, 37))
	run("many rows", kerneltest.Normal(7, 5, 67, 50), kerneltest.Normal(8, 50), kerneltest.Normal(9, 50))
	run("wide", kerneltest.Normal(10, 3, 1031), kerneltest.Normal(11, 1031), kerneltest.Normal(12, 1031))
	run("off centre", shifted(kerneltest.Normal(13, 6, 65), 4), kerneltest.Normal(14, 65), kerneltest.Normal(15, 65))
	run("frozen bf16", kerneltest.Normal(16, 2, 5, 24), kerneltest.Stored(kerneltest.Normal(17, 24), kernel.BF16), kerneltest.Stored(kerneltest.Normal(18, 24), kernel.F16))
	run("frozen w", kerneltest.Normal(19, 2, 5, 24), kerneltest.Stored(kerneltest.Normal(20, 24), kernel.F16), kerneltest.Normal(21, 24))

	gradTol = 2e-2 // two normalised values are ±1: the gradient is nothing but rounding and Eps
	run("two", kerneltest.Normal(4, 1, 2), kerneltest.Normal(5, 2), kerneltest.Normal(6, 2))
}

// A row without any variation has no direction: only the bias remains.
func TestLayerNormOfConstantRowIsBias(t *testing.T) {
	k, b := kernel.LayerNorm{Eps: 1e-5}, kerneltest.Normal(1, 7)
	c := kernel.Call{X: []*kernel.Tensor{shifted(kernel.New(2, 7), 3), kerneltest.Normal(2, 7), b}, Y: kernel.New(2, 7)}
	k.Forward(&c)
	for i, v := range c.Y.F32 {
		if v != b.F32[i%7] {
			t.Fatalf("element %d is %v, want %v", i, v, b.F32[i%7])
		}
	}
}
