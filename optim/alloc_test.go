package optim_test

import (
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// A step over tensors below and above the size that is split over threads, clipped.
func TestStepAllocatesNothing(t *testing.T) {
	for _, name := range []string{"adamw", "sgd"} {
		t.Run(name, func(t *testing.T) {
			rule, err := optim.NewRule(name)
			if err != nil {
				t.Fatal(err)
			}
			var points []optim.Point
			for i, n := range []int{10, 100_000} {
				x := optim.Tensor{Name: string(rune('a' + i)), Value: kernel.New(n), Grad: kernel.New(n)}
				for j := range x.Grad.F32 {
					x.Grad.F32[j] = 1
				}
				points = append(points, optim.NewEuclidean(x))
			}
			o := mustNew(t, rule, optim.Config{WeightDecay: 0.01, ClipGradNorm: 1}, points...)
			step := func() { mustStep(t, o, 1e-4) }
			for range 10 {
				step()
			}
			if got := testing.AllocsPerRun(50, step); got != 0 {
				t.Errorf("%v allocations a step, expected none", got)
			}
		})
	}
}
