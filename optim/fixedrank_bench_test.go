package optim_test

import (
	"fmt"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// BenchmarkAdapterStep moves the 48 pairs that LoRA of rank 16 puts onto the attention and MLP projections of a 12-layer GPT-2 small,
// or the 24 of its attention alone.
func BenchmarkAdapterStep(b *testing.B) {
	const layers, rank = 12, 16
	for _, set := range []struct {
		name   string
		shapes [][2]int // out, in
	}{
		{"attention", [][2]int{{2304, 768}, {768, 768}}},
		{"all", [][2]int{{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}}},
	} {
		for _, name := range optim.Names() {
			b.Run(set.name+"/"+name, func(b *testing.B) {
				rule, err := optim.NewRule(name)
				if err != nil {
					b.Fatal(err)
				}
				var points []optim.Point
				for layer := range layers {
					for i, s := range set.shapes {
						points = append(points, benchPair(b, fmt.Sprintf("layer%d.%d", layer, i), s[0], s[1], rank))
					}
				}
				o := mustNew(b, rule, optim.Config{WeightDecay: 0.01, ClipGradNorm: 1}, points...)
				b.ReportAllocs()
				for b.Loop() {
					mustStep(b, o, 1e-4)
				}
			})
		}
	}
}

func benchPair(b *testing.B, name string, out, in, rank int) *optim.LowRank {
	b.Helper()
	source := pair(b, out, in, rank, 1, 0.1)
	rename := func(t optim.Tensor, factor string) optim.Tensor {
		return optim.Tensor{Name: name + factor, Value: t.Value, Grad: kernel.FromF32(t.Grad.F32, t.Grad.Shape...)}
	}
	p, err := optim.NewLowRank(name, rename(source.A(), ".lora_A"), rename(source.B(), ".lora_B"), 2)
	if err != nil {
		b.Fatal(err)
	}
	return p
}
