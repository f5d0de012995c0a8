package kernel_test

import (
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// The fused query, key and value projection of GPT-2 small on 1024 tokens, rank 16.
const (
	benchTokens, benchIn, benchOut, benchRank = 1024, 768, 2304, 16
)

// benchProduct is the work of one product with the weight.
const benchProduct = 2. * benchTokens * benchIn * benchOut

func BenchmarkLinear(b *testing.B) {
	x, w, bias := kerneltest.Normal(1, benchTokens, benchIn), kerneltest.Normal(2, benchOut, benchIn), kerneltest.Normal(3, benchOut)
	k := kernel.Linear{Bias: true}
	b.Run("trained", func(b *testing.B) { benchmarkPasses(b, k, []*kernel.Tensor{x, w, bias}, benchProduct, 2) })
	for _, d := range []kernel.DType{kernel.F32, kernel.BF16} {
		b.Run("frozen "+d.String(), func(b *testing.B) {
			benchmarkPasses(b, k, []*kernel.Tensor{x, kerneltest.Stored(w, d), kerneltest.Stored(bias, d)}, benchProduct, 1)
		})
	}
}

// The rates count the products with the weight and the thin ones: three forward with W, A and B; backward W, A twice and B twice.
func BenchmarkLoRA(b *testing.B) {
	const thin = 2. * benchTokens * (benchIn + benchOut) * benchRank
	x := adapted([]int{benchTokens, benchIn}, benchOut, benchRank, true, true, nil, false)
	x[1], x[2] = kerneltest.Stored(x[1], kernel.F32), kerneltest.Stored(x[2], kernel.F32)
	k := kernel.LoRA{Scale: 2, Bias: true, InOut: true}
	benchmarkPasses(b, k, x, benchProduct+thin, (benchProduct+2*thin)/(benchProduct+thin))
}

func BenchmarkDoRA(b *testing.B) {
	x := adapted([]int{benchTokens, benchIn}, benchOut, benchRank, true, true, kerneltest.Normal(7, benchOut), false)
	x[1], x[2] = kerneltest.Stored(x[1], kernel.F32), kerneltest.Stored(x[2], kernel.F32)
	benchmarkPasses(b, kernel.DoRA{Scale: 2, Bias: true, InOut: true}, x, 0, 0)
}

// GPT-2 small's vocabulary on 512 tokens. A frozen head needs two products in Forward and none in Backward; a trained one two more.
func BenchmarkLMLoss(b *testing.B) {
	const tokens, d, v = 512, 768, 50257
	const product = 2. * tokens * d * v
	h, w, t := kerneltest.Normal(1, tokens, d), kerneltest.Scaled(2, 0.02, v, d), targets(v, tokens)
	b.Run("frozen", func(b *testing.B) {
		benchmarkPasses(b, kernel.LMLoss{}, []*kernel.Tensor{h, kerneltest.Stored(w, kernel.F32), t}, 2*product, 0)
	})
	b.Run("trained", func(b *testing.B) {
		benchmarkPasses(b, kernel.LMLoss{}, []*kernel.Tensor{h, w, t}, 2*product, 1)
	})
}

func BenchmarkEmbedding(b *testing.B) {
	ids, table := kerneltest.IDs(1, 50257, 4, 256), kerneltest.Normal(2, 50257, 768)
	benchmarkPasses(b, kernel.Embedding{Scale: 1}, []*kernel.Tensor{ids, table}, 0, 0)
}
