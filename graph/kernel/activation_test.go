package kernel_test

import (
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// The activation functions in float64, by the names of GLU.
var activations = map[string]func(x float64) float64{
	"relu": func(x float64) float64 { return math.Max(x, 0) },
	"silu": func(x float64) float64 { return x / (1 + math.Exp(-x)) },
	"gelu": func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) },
	"gelu_tanh": func(x float64) float64 {
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	},
}

func TestActivations(t *testing.T) {
	for _, k := range []kernel.Kernel{kernel.GELU{}, kernel.GELU{Tanh: true}, kernel.SiLU{}, kernel.ReLU{}} {
		f := activations[k.String()]
		ref := func(x [][]float64) []float64 {
			y := make([]float64, len(x[0]))
			for i, v := range x[0] {
				y[i] = f(v)
			}
			return y
		}
		for name, x := range map[string]*kernel.Tensor{
			"one": kernel.FromF32([]float32{0.8}, 1), "odd": kerneltest.Normal(2, 3, 7, 5), "blocks": kerneltest.Normal(3, 7, 1171), "far": kerneltest.Scaled(4, 20, 9, 11),
		} {
			if k == (kernel.ReLU{}) {
				for i, v := range x.F32 { // no finite difference across the kink
					x.F32[i] += float32(math.Copysign(0.01, float64(v)))
				}
			}
			kerneltest.Run(t, kerneltest.Case{
				Name: k.String() + "/" + name, Kernel: k, X: []*kernel.Tensor{x}, Ref: ref, Tol: 5e-7, GradTol: 1e-6,
				Bad: [][]kernel.Spec{{}, {specI32(3)}, {spec(3), spec(3)}},
			})
		}
	}
}

func TestActivationsKeepTheirLimits(t *testing.T) {
	inf := float32(math.Inf(1))
	x := kernel.FromF32([]float32{-inf, -1e30, -1e4, -200, 0, 200, 1e4, 1e30, inf}, 9)
	for _, k := range []kernel.Kernel{kernel.GELU{}, kernel.GELU{Tanh: true}, kernel.SiLU{}, kernel.ReLU{}} {
		y, dx, dy := kernel.New(9), kernel.New(9), kernel.New(9)
		for i := range dy.F32 {
			dy.F32[i] = 1
		}
		k.Forward(&kernel.Call{X: []*kernel.Tensor{x}, Y: y})
		k.Backward(&kernel.Call{X: []*kernel.Tensor{x}, DY: dy, DX: []*kernel.Tensor{dx}})
		for i, v := range x.F32 {
			if y.F32[i] != max(v, 0) {
				t.Errorf("%v(%v) = %v, want %v", k, v, y.F32[i], max(v, 0))
			}
			slope := float32(0)
			if v > 0 {
				slope = 1
			}
			if v != 0 && dx.F32[i] != slope {
				t.Errorf("the derivative of %v at %v is %v, want %v", k, v, dx.F32[i], slope)
			}
		}
	}
}

func TestGLU(t *testing.T) {
	for _, act := range []string{"silu", "gelu", "gelu_tanh"} {
		ref := func(x [][]float64) []float64 {
			y := make([]float64, len(x[0]))
			for i, v := range x[0] {
				y[i] = activations[act](v) * x[1][i]
			}
			return y
		}
		for name, shape := range map[string][]int{"one": {1}, "odd": {3, 7, 5}, "blocks": {7, 1171}} {
			kerneltest.Run(t, kerneltest.Case{
				Name: act + "/" + name, Kernel: kernel.GLU{Act: act}, X: []*kernel.Tensor{shifted(kerneltest.Normal(1, shape...), 1), kerneltest.Normal(2, shape...)},
				Ref: ref, Tol: 5e-7, GradTol: 1e-6, Bad: [][]kernel.Spec{{spec(3)}, {spec(3), spec(4)}, {spec(3), specI32(3)}},
			})
		}
	}
	if _, err := (kernel.GLU{Act: "softplus"}).Plan([]kernel.Spec{spec(3), spec(3)}, make([]bool, 2)); err == nil {
		t.Error("unknown activation accepted")
	}
}
