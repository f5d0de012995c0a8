package kernel_test

import (
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

func int32s(v ...int32) *kernel.Tensor {
	return &kernel.Tensor{DType: kernel.I32, Shape: kernel.Shape{len(v)}, I32: v}
}

// dropped applies dropout to x.
func dropped(p float32, x, rng *kernel.Tensor, site int32) []float32 {
	y := kernel.New(x.Shape...)
	kernel.Dropout{P: p}.Forward(&kernel.Call{X: []*kernel.Tensor{x, rng, int32s(site)}, Y: y})
	return y.F32
}

func TestDropout(t *testing.T) {
	for name, n := range map[string]int{"one": 1, "three": 3, "odd": 1001, "many": 9001} {
		for _, p := range []float32{0, 0.1, 0.5, 0.9} {
			x, rng := kerneltest.Normal(1, n), int32s(7, -1, 3, 0)
			// The mask as the kernel draws it on ones; the test below holds it against the definition.
			mask := dropped(p, shifted(kernel.New(n), 1), rng, 5)
			ref := func(x [][]float64) []float64 {
				y := make([]float64, n)
				for i, v := range x[0] {
					y[i] = v * float64(mask[i])
				}
				return y
			}
			kerneltest.Run(t, kerneltest.Case{
				Name: name, Kernel: kernel.Dropout{P: p}, X: []*kernel.Tensor{x, rng, int32s(5)}, Ref: ref,
				Bad: [][]kernel.Spec{{spec(3)}, {spec(3), specI32(3), specI32(1)}, {spec(3), specI32(4), specI32(2)}, {specI32(3), specI32(4), specI32(1)}},
			})
		}
	}
	for _, p := range []float32{-0.1, 1, float32(math.NaN())} {
		if _, err := (kernel.Dropout{P: p}).Plan([]kernel.Spec{spec(3), specI32(4), specI32(1)}, make([]bool, 3)); err == nil {
			t.Errorf("probability %v accepted", p)
		}
	}
}

func TestDropoutKeepsWithProbabilityOneMinusP(t *testing.T) {
	const n = 1 << 18
	ones := shifted(kernel.New(n), 1)
	for _, p := range []float32{0.01, 0.1, 0.5, 0.9} {
		kept, scale := 0, float32(1/(1-float64(p)))
		for _, v := range dropped(p, ones, int32s(42, 0, 1, 0), 3) {
			switch v {
			case 0:
			case scale:
				kept++
			default:
				t.Fatalf("P %v: a one became %v, want 0 or %v", p, v, scale)
			}
		}
		keep := 1 - float64(p)
		sigma := math.Sqrt(n * keep * (1 - keep))
		if d := float64(kept) - n*keep; math.Abs(d) > 5*sigma {
			t.Errorf("P %v: %d of %d kept, %.1f sigma off", p, kept, n, d/sigma)
		}
	}
}

// Masks that differ in one word of the key must agree in half of all places, like independent ones.
func TestDropoutMasksAreIndependent(t *testing.T) {
	const n = 1 << 16
	ones := shifted(kernel.New(n), 1)
	base := dropped(0.5, ones, int32s(1, 2, 3, 4), 5)
	for name, other := range map[string][]float32{
		"seed low":  dropped(0.5, ones, int32s(9, 2, 3, 4), 5),
		"seed high": dropped(0.5, ones, int32s(1, 9, 3, 4), 5),
		"step":      dropped(0.5, ones, int32s(1, 2, 4, 4), 5),
		"micro":     dropped(0.5, ones, int32s(1, 2, 3, 5), 5),
		"site":      dropped(0.5, ones, int32s(1, 2, 3, 4), 6),
		"neighbour": append(append([]float32{}, base[1:]...), base[0]),
	} {
		same := 0
		for i, v := range other {
			if v == base[i] {
				same++
			}
		}
		if d := float64(same) - n/2; math.Abs(d) > 5*math.Sqrt(n/4) {
			t.Errorf("%s: %d of %d places agree", name, same, n)
		}
	}
}

// A longer tensor begins with the mask of a shorter one, and the same key replays.
func TestDropoutMaskIsAFunctionOfTheElement(t *testing.T) {
	rng := int32s(1, 2, 3, 4)
	long, short := dropped(0.3, shifted(kernel.New(5000), 1), rng, 5), dropped(0.3, shifted(kernel.New(41), 1), rng, 5)
	for i, v := range short {
		if v != long[i] {
			t.Fatalf("element %d is %v in 41 elements and %v in 5000", i, v, long[i])
		}
	}
}
