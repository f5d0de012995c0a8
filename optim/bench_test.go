package optim_test

import (
	"fmt"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// BenchmarkStep moves one large tensor (full fine-tuning) and many small ones (adapters) of the same total size, clipping included.
func BenchmarkStep(b *testing.B) {
	const total = 1 << 20
	for _, name := range []string{"adamw", "sgd"} {
		for _, count := range []int{1, 128} {
			b.Run(fmt.Sprintf("%s/%dx%d", name, count, total/count), func(b *testing.B) {
				rule, err := optim.NewRule(name)
				if err != nil {
					b.Fatal(err)
				}
				var points []optim.Point
				for i := range count {
					n := total / count
					t := optim.Tensor{Name: fmt.Sprint(i), Value: kernel.New(n), Grad: kernel.New(n)}
					for j := range t.Grad.F32 {
						t.Grad.F32[j] = float32(j%7) - 3
					}
					points = append(points, optim.NewEuclidean(t))
				}
				o := mustNew(b, rule, optim.Config{WeightDecay: 0.01, ClipGradNorm: 1}, points...)
				b.SetBytes(4 * total)
				b.ReportAllocs()
				for b.Loop() {
					mustStep(b, o, 1e-4)
				}
			})
		}
	}
}
