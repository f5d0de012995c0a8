package bench

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/internal/gemmcases"
)

// What is measured must be the product that is claimed, in every form.
func TestFormsComputeTheProduct(t *testing.T) {
	for _, layout := range []string{"NN", "NT", "TN"} {
		for _, c := range []gemmcases.Case{
			{Kind: "layer", Batch: 1, M: 5, K: 17, N: 23, Layout: layout},
			{Kind: "attention", Batch: 3, M: 9, K: 4, N: 6, Layout: layout},
		} {
			p := newProduct(c)
			want := reference(p)
			var m GemmCase
			for i, form := range p.forms(&m) {
				for j := range p.c.Data {
					p.c.Data[j] = float32(math.NaN())
				}
				form.run()
				tolerance := 1e-5
				if form.rate == m.PackedBF16 {
					tolerance = 0.5 / 256 * float64(c.K)
				}
				for j, v := range p.c.Data {
					if !(math.Abs(float64(v)-want[j]) <= tolerance) {
						t.Fatalf("%v, form %d: element %d is %v, expected %v", c, i, j, v, want[j])
					}
				}
			}
			if packed := c.Kind == "layer" && layout != "TN"; (m.Packed != nil) != packed || (m.PackedBF16 != nil) != packed || (m.Gonum != nil) != (c.Batch == 1) {
				t.Errorf("%v: packed %v, %v, gonum %v", c, m.Packed, m.PackedBF16, m.Gonum)
			}
		}
	}
}

// reference returns the products in float64.
func reference(p *gemmProduct) []float64 {
	at := func(m cpu.Mat, base, i, j int) float64 { return float64(m.Data[base+i*m.RS+j*m.CS]) }
	var c []float64
	for b := range p.Batch {
		for i := range p.M {
			for j := range p.N {
				sum := 0.0
				for k := range p.K {
					sum += at(p.a, b*p.M*p.K, i, k) * at(p.b, b*p.K*p.N, k, j)
				}
				c = append(c, sum)
			}
		}
	}
	return c
}

func TestGemmStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Gemm(ctx, GemmOptions{Threads: []int{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("found %v, expected %v", err, context.Canceled)
	}
	if _, err := Step(ctx, StepOptions{Preset: "llama-tiny", Adapter: LoRA, DType: "bfloat16", Steps: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("found %v, expected %v", err, context.Canceled)
	}
}
