package optim_test

import (
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// A step of every rule allocates nothing, over tensors below and above the size that is split over threads and a low-rank point, clipped.
func TestStepAllocatesNothing(t *testing.T) {
	for _, name := range optim.Names() {
		for _, v := range append(conformance[name], variant{name: "as it comes"}) {
			t.Run(name+" "+v.name, func(t *testing.T) {
				rule := registered(t, name)()
				if v.edit != nil {
					v.edit(rule)
				}
				points := []optim.Point{pair(t, 64, 48, 4, 1, 0.1)}
				for i, n := range []int{10, 100_000} {
					x := optim.Tensor{Name: string(rune('a' + i)), Value: kernel.New(n), Grad: kernel.New(n)}
					for j := range x.Grad.F32 {
						x.Grad.F32[j] = 1
					}
					points = append(points, optim.NewEuclidean(x))
				}
				o := mustNew(t, rule, optim.Config{WeightDecay: 0.01, ClipGradNorm: 1}, points...)
				step := func() { mustStep(t, o, 1e-4) }
				for range 3 {
					step()
				}
				if got := testing.AllocsPerRun(20, step); got != 0 {
					t.Errorf("%v allocations a step, expected none", got)
				}
			})
		}
	}
}
