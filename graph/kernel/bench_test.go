package kernel_test

import (
	"fmt"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// benchmarkPasses times Forward and Backward of a kernel with all gradients wanted but those of frozen tensors. flops, if not 0, is the work of Forward;
// Backward does ratio times as much.
func benchmarkPasses(b *testing.B, k kernel.Kernel, x []*kernel.Tensor, flops, ratio float64) {
	in, need := make([]kernel.Spec, len(x)), make([]bool, len(x))
	for i, t := range x {
		in[i], need[i] = t.Spec(), t.DType == kernel.F32 && !t.Frozen()
	}
	p, err := k.Plan(in, need)
	if err != nil {
		b.Fatal(err)
	}
	c := kernel.Call{X: x, Y: kerneltest.Normal(8, p.Out...), DY: kerneltest.Normal(9, p.Out...), DX: make([]*kernel.Tensor, len(x))}
	c.Saved, c.Scratch = make([]float32, p.Saved), make([]float32, max(p.ForwardScratch, p.BackwardScratch))
	for i, t := range x {
		if need[i] {
			c.DX[i] = kerneltest.Normal(10, t.Shape...)
		}
	}
	time := func(name string, pass func(*kernel.Call), flops float64) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				pass(&c)
			}
			if flops > 0 {
				b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			}
		})
	}
	time("forward", k.Forward, flops)
	time("backward", k.Backward, ratio*flops)
}

// The rate counts only the products of a causal mask: two of T²/2 scores by Dim forward, five backward.
func BenchmarkAttention(b *testing.B) {
	for _, tokens := range []int{256, 2048} {
		k := kernel.Attention{Heads: 12, KVHeads: 12, Dim: 64, Scale: 0.125, Causal: true, Fused: "qkv"}
		x := append(attentionInputs(k, 4, tokens), segmented(4, tokens, 1, 0))
		flops := 4 * 12 * 4 * float64(tokens) * float64(tokens+1) / 2 * 64
		b.Run(fmt.Sprintf("4x%d", tokens), func(b *testing.B) { benchmarkPasses(b, k, x, flops, 2.5) })
	}
}

func BenchmarkConv2d(b *testing.B) {
	for _, s := range []struct{ in, size, out, kernel, stride int }{
		{64, 56, 64, 3, 1}, {320, 64, 320, 3, 1}, {640, 32, 640, 3, 1}, {320, 64, 320, 3, 2}, {320, 64, 320, 1, 1},
	} {
		k := kernel.Conv2d{Stride: s.stride, Pad: kernel.Pad(s.kernel / 2)}
		x := []*kernel.Tensor{kerneltest.Normal(1, 1, s.in, s.size, s.size), kerneltest.Normal(2, s.out, s.in, s.kernel, s.kernel)}
		flops := 2 * float64(s.in*s.out*s.kernel*s.kernel) * float64(s.size/s.stride*s.size/s.stride)
		b.Run(fmt.Sprintf("%dx%dx%d-%d-k%d-s%d", s.in, s.size, s.size, s.out, s.kernel, s.stride), func(b *testing.B) {
			b.Run("trained", func(b *testing.B) { benchmarkPasses(b, k, x, flops, 2) })
			frozen := []*kernel.Tensor{x[0], kerneltest.Stored(x[1], kernel.BF16)}
			b.Run("frozen", func(b *testing.B) { benchmarkPasses(b, k, frozen, flops, 1) })
		})
	}
}

func BenchmarkNorm(b *testing.B) {
	for _, s := range [][2]int{{2048, 256}, {1024, 512}, {8192, 768}} {
		x, w, bias := kerneltest.Normal(1, s[0], s[1]), kerneltest.Normal(2, s[1]), kerneltest.Normal(3, s[1])
		frozen := kerneltest.Stored(w, kernel.F32)
		b.Run(fmt.Sprintf("%dx%d", s[0], s[1]), func(b *testing.B) {
			b.Run("rms", func(b *testing.B) { benchmarkPasses(b, kernel.RMSNorm{Eps: 1e-5}, []*kernel.Tensor{x, w}, 0, 0) })
			b.Run("rms-frozen", func(b *testing.B) { benchmarkPasses(b, kernel.RMSNorm{Eps: 1e-5}, []*kernel.Tensor{x, frozen}, 0, 0) })
			b.Run("layer", func(b *testing.B) {
				benchmarkPasses(b, kernel.LayerNorm{Eps: 1e-5}, []*kernel.Tensor{x, w, bias}, 0, 0)
			})
		})
	}
}

func BenchmarkGroupNorm(b *testing.B) {
	for _, shape := range [][]int{{2, 320, 64, 64}, {2, 128, 32, 32}, {2, 1280, 8, 8}} {
		x, w := kerneltest.Normal(1, shape...), kerneltest.Normal(2, shape[1])
		k, bias := kernel.GroupNorm{Groups: 32, Eps: 1e-5}, kerneltest.Normal(3, shape[1])
		b.Run(fmt.Sprintf("%v", kernel.Shape(shape)), func(b *testing.B) {
			b.Run("trained", func(b *testing.B) { benchmarkPasses(b, k, []*kernel.Tensor{x, w, bias}, 0, 0) })
			frozen := []*kernel.Tensor{x, kerneltest.Stored(w, kernel.F32), kerneltest.Stored(bias, kernel.F32)}
			b.Run("frozen", func(b *testing.B) { benchmarkPasses(b, k, frozen, 0, 0) })
		})
	}
}

func BenchmarkElementwise(b *testing.B) {
	x, up := kerneltest.Normal(1, 4, 256, 3072), kerneltest.Normal(2, 4, 256, 3072)
	for _, k := range []kernel.Kernel{kernel.GELU{}, kernel.GELU{Tanh: true}, kernel.SiLU{}} {
		b.Run(k.String(), func(b *testing.B) { benchmarkPasses(b, k, []*kernel.Tensor{x}, 0, 0) })
	}
	b.Run("swiglu", func(b *testing.B) { benchmarkPasses(b, kernel.GLU{Act: "silu"}, []*kernel.Tensor{x, up}, 0, 0) })
	b.Run("dropout", func(b *testing.B) {
		benchmarkPasses(b, kernel.Dropout{P: 0.1}, []*kernel.Tensor{x, int32s(1, 0, 2, 0), int32s(3)}, 0, 0)
	})
}

func BenchmarkRotary(b *testing.B) {
	for _, s := range []struct {
		name                 string
		k                    kernel.Rotary
		batch, tokens, width int
	}{
		{"24-heads", kernel.Rotary{Dim: 64, Rot: 64, Spans: [2]kernel.HeadSpan{{0, 64, 12}, {768, 64, 12}}}, 4, 256, 3 * 768},
		{"6-heads", kernel.Rotary{Dim: 64, Rot: 64, Spans: [2]kernel.HeadSpan{{0, 64, 4}, {256, 64, 2}}}, 8, 256, 512},
		{"8-quarters", kernel.Rotary{Dim: 64, Rot: 16, Spans: [2]kernel.HeadSpan{{0, 192, 4}, {64, 192, 4}}}, 8, 256, 768},
	} {
		cos, sin := rotaryTables(s.tokens, s.k.Rot)
		pos := kernel.NewI32(s.batch, s.tokens)
		for i := range pos.I32 {
			pos.I32[i] = int32(i % s.tokens)
		}
		x := kerneltest.Normal(1, s.batch, s.tokens, s.width)
		y := kernel.New(x.Shape...)
		copy(y.F32, x.F32) // which brings the memory
		c := kernel.Call{X: []*kernel.Tensor{x, cos, sin, pos}}
		run := func(name string, y *kernel.Tensor) {
			b.Run(s.name+"/"+name, func(b *testing.B) {
				c.Y = y
				for b.Loop() {
					s.k.Forward(&c)
				}
			})
		}
		run("apart", y)
		run("over", x)
	}
}
