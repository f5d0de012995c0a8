package kernel_test

import (
	"math"
	"slices"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refCached extends the caches and lets query i of the new tokens see the keys up to start+i.
func refCached(c kernel.CachedAttention, batch, tokens, capacity, start int) func(x [][]float64) []float64 {
	k := kernel.Attention(c)
	return func(in [][]float64) []float64 {
		q, newK, newV := splitHeads(k, in)
		n := len(in) - 3
		keys, values := slices.Clone(in[n]), slices.Clone(in[n+1])
		w := k.KVHeads * k.Dim
		for b := range batch {
			at := (b*capacity + start) * w
			copy(keys[at:at+tokens*w], newK[b*tokens*w:])
			copy(values[at:at+tokens*w], newV[b*tokens*w:])
		}
		y := make([]float64, batch*tokens*k.Heads*k.Dim)
		for row := range batch * tokens * k.Heads {
			b, i, h := row/k.Heads/tokens, row/k.Heads%tokens, row%k.Heads
			kv := func(j int) int { return ((b*capacity+j)*k.KVHeads + h/(k.Heads/k.KVHeads)) * k.Dim }
			see := func(j int) bool { return j <= start+i && (k.Window == 0 || start+i-j < k.Window) }
			refQuery(k, y[row*k.Dim:(row+1)*k.Dim], q[row*k.Dim:], keys, values, start+tokens, kv, see)
		}
		return y
	}
}

func TestCachedAttention(t *testing.T) {
	for _, c := range []struct {
		name                           string
		k                              kernel.CachedAttention
		batch, tokens, capacity, start int
	}{
		{"first token", kernel.CachedAttention{Heads: 2, KVHeads: 2, Dim: 4, Scale: 0.5}, 1, 1, 8, 0},
		{"prompt", kernel.CachedAttention{Heads: 4, KVHeads: 2, Dim: 4, Scale: 0.5}, 2, 7, 9, 0},
		{"next token", kernel.CachedAttention{Heads: 4, KVHeads: 2, Dim: 4, Scale: 0.5}, 3, 1, 9, 8},
		{"some tokens", kernel.CachedAttention{Heads: 2, KVHeads: 1, Dim: 5, Scale: 0.5}, 2, 3, 11, 4},
		{"window", kernel.CachedAttention{Heads: 2, KVHeads: 1, Dim: 4, Scale: 0.5, Window: 4}, 2, 3, 20, 11},
		{"qkv", kernel.CachedAttention{Heads: 4, KVHeads: 2, Dim: 4, Scale: 0.5, Fused: "qkv"}, 2, 3, 9, 2},
		{"neox", kernel.CachedAttention{Heads: 2, KVHeads: 2, Dim: 4, Scale: 0.5, Fused: "neox"}, 2, 3, 9, 2},
		{"many tiles", kernel.CachedAttention{Heads: 2, KVHeads: 2, Dim: 4, Scale: 0.5}, 1, 70, 700, 600},
	} {
		k := kernel.Attention(c.k)
		w := k.KVHeads * k.Dim
		x := append(attentionInputs(k, c.batch, c.tokens), kerneltest.Normal(5, c.batch, c.capacity, w), kerneltest.Normal(6, c.batch, c.capacity, w), int32s(int32(c.start)))
		n := len(x) - 3
		kerneltest.Run(t, kerneltest.Case{
			Name: c.name, Kernel: c.k, X: x, Ref: refCached(c.k, c.batch, c.tokens, c.capacity, c.start), ForwardOnly: true, Writes: []int{n, n + 1},
			Bad: [][]kernel.Spec{{spec(1, 1, 1)}, {spec(1, 3, 4), spec(1, 3, 4), spec(1, 3, 4), spec(1, 2, 4), spec(1, 2, 4), specI32(1)}},
		})
	}
}

// Generating token by token must give what one pass over the whole sequence gives.
func TestCachedAttentionStepByStepEqualsAttention(t *testing.T) {
	k := kernel.Attention{Heads: 4, KVHeads: 2, Dim: 8, Scale: 0.35, Causal: true, Window: 9}
	const tokens = 30
	x := attentionInputs(k, 1, tokens)
	want := kernel.New(1, tokens, 32)
	k.Forward(&kernel.Call{X: append(x, segmented(1, tokens, 1, 0)), Y: want})
	cacheK, cacheV := kernel.New(1, tokens, 16), kernel.New(1, tokens, 16)
	for at, n := 0, 12; at < tokens; at, n = at+n, 1 {
		in := make([]*kernel.Tensor, 0, 6)
		for _, v := range x[:3] {
			w := v.Shape[2]
			in = append(in, kernel.FromF32(v.F32[at*w:(at+n)*w], 1, n, w))
		}
		got := kernel.New(1, n, 32)
		kernel.CachedAttention(k).Forward(&kernel.Call{X: append(in, cacheK, cacheV, int32s(int32(at))), Y: got})
		for i, v := range got.F32 {
			if d := math.Abs(float64(v - want.F32[at*32+i])); d > 1e-6 {
				t.Fatalf("token %d: %v, want %v", at+i/32, v, want.F32[at*32+i])
			}
		}
	}
}

func TestCachedAttentionRefusesGradients(t *testing.T) {
	k := kernel.CachedAttention{Heads: 1, KVHeads: 1, Dim: 4, Scale: 0.5}
	in := []kernel.Spec{spec(1, 1, 4), spec(1, 1, 4), spec(1, 1, 4), spec(1, 8, 4), spec(1, 8, 4), specI32(1)}
	need := make([]bool, 6)
	if _, err := k.Plan(in, need); err != nil {
		t.Fatal(err)
	}
	need[0] = true
	if _, err := k.Plan(in, need); err == nil {
		t.Error("gradient granted")
	}
}
