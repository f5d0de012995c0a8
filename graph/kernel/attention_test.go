package kernel_test

import (
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// splitHeads returns queries, keys and values of the fused layout as separate [tokens, heads·dim] arrays.
func splitHeads(k kernel.Attention, in [][]float64) (q, key, v []float64) {
	if k.Fused == "" {
		return in[0], in[1], in[2]
	}
	d := k.Dim
	width := (k.Heads + 2*k.KVHeads) * d
	for row := in[0]; len(row) > 0; row = row[width:] {
		if k.Fused == "qkv" {
			q = append(q, row[:k.Heads*d]...)
			key = append(key, row[k.Heads*d:(k.Heads+k.KVHeads)*d]...)
			v = append(v, row[(k.Heads+k.KVHeads)*d:width]...)
			continue
		}
		for h := range k.Heads {
			q = append(q, row[3*h*d:(3*h+1)*d]...)
			key = append(key, row[(3*h+1)*d:(3*h+2)*d]...)
			v = append(v, row[(3*h+2)*d:(3*h+3)*d]...)
		}
	}
	return q, key, v
}

// visible is the rule of visibility in the words of Attention's documentation.
func visible(k kernel.Attention, seg []int32, i, j int) bool {
	return seg[j] != 0 && (seg[i] == seg[j] || seg[i] == 0) && (!k.Causal || j <= i) && (k.Window == 0 || i-j < k.Window)
}

// refAttention computes attention query by query with the whole row of probabilities.
func refAttention(k kernel.Attention, batch, tokens int, seg []int32) func(x [][]float64) []float64 {
	return func(in [][]float64) []float64 {
		q, key, v := splitHeads(k, in)
		y := make([]float64, batch*tokens*k.Heads*k.Dim)
		for b := range batch {
			for h := range k.Heads {
				for i := range tokens {
					at := ((b*tokens+i)*k.Heads + h) * k.Dim
					kv := func(j int) int { return ((b*tokens+j)*k.KVHeads + h/(k.Heads/k.KVHeads)) * k.Dim }
					see := func(j int) bool { return visible(k, seg[b*tokens:(b+1)*tokens], i, j) }
					refQuery(k, y[at:at+k.Dim], q[at:], key, v, tokens, kv, see)
				}
			}
		}
		return y
	}
}

// refQuery computes one query of one head; kv locates key and value j.
func refQuery(k kernel.Attention, y, q, key, v []float64, keys int, kv func(j int) int, see func(j int) bool) {
	p, sum, peak := make([]float64, keys), 0.0, math.Inf(-1)
	for j := range p {
		p[j] = math.Inf(-1)
		if see(j) {
			p[j] = 0
			for d := range k.Dim {
				p[j] += float64(k.Scale) * q[d] * key[kv(j)+d]
			}
			peak = math.Max(peak, p[j])
		}
	}
	for j := range p {
		if !math.IsInf(peak, -1) {
			p[j] = math.Exp(p[j] - peak)
			sum += p[j]
		}
	}
	for j := range p {
		if sum == 0 || p[j] == 0 {
			continue
		}
		for d := range y {
			y[d] += p[j] / sum * v[kv(j)+d]
		}
	}
}

// segmented returns segment numbers [batch, tokens]; each row repeats the pattern of (segment, length) pairs and ends with the last.
func segmented(batch, tokens int, pattern ...int) *kernel.Tensor {
	t := kernel.NewI32(batch, tokens)
	for b := range batch {
		at := 0
		for i := 0; i < len(pattern); i += 2 {
			end := min(tokens, at+pattern[i+1])
			if i+2 >= len(pattern) {
				end = tokens
			}
			for ; at < end; at++ {
				t.I32[b*tokens+at] = int32(pattern[i])
			}
		}
	}
	return t
}

// attentionInputs returns random inputs for the layout of k.
func attentionInputs(k kernel.Attention, batch, tokens int) []*kernel.Tensor {
	if k.Fused != "" {
		return []*kernel.Tensor{kerneltest.Normal(1, batch, tokens, (k.Heads+2*k.KVHeads)*k.Dim)}
	}
	return []*kernel.Tensor{
		kerneltest.Normal(1, batch, tokens, k.Heads*k.Dim),
		kerneltest.Normal(2, batch, tokens, k.KVHeads*k.Dim),
		kerneltest.Normal(3, batch, tokens, k.KVHeads*k.Dim),
	}
}

func TestAttention(t *testing.T) {
	full := []int{1, 0}
	for _, c := range []struct {
		name          string
		k             kernel.Attention
		batch, tokens int
		segments      []int
	}{
		{"one", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 1, Scale: 1, Causal: true}, 1, 1, full},
		{"causal", kernel.Attention{Heads: 3, KVHeads: 3, Dim: 5, Scale: 0.4, Causal: true}, 2, 7, full},
		{"both ways", kernel.Attention{Heads: 2, KVHeads: 2, Dim: 8, Scale: 0.3}, 2, 9, full},
		{"grouped", kernel.Attention{Heads: 6, KVHeads: 2, Dim: 4, Scale: 0.5, Causal: true}, 2, 11, full},
		{"one key head", kernel.Attention{Heads: 4, KVHeads: 1, Dim: 4, Scale: 0.5, Causal: true}, 1, 11, full},
		{"padded right", kernel.Attention{Heads: 2, KVHeads: 1, Dim: 4, Scale: 0.5, Causal: true}, 2, 13, []int{1, 9, 0, 0}},
		{"padded left", kernel.Attention{Heads: 2, KVHeads: 2, Dim: 4, Scale: 0.5, Causal: true}, 2, 13, []int{0, 4, 1, 0}},
		{"padded both ways", kernel.Attention{Heads: 2, KVHeads: 2, Dim: 4, Scale: 0.5}, 2, 13, []int{0, 2, 1, 8, 0, 0}},
		{"nothing to see", kernel.Attention{Heads: 2, KVHeads: 2, Dim: 4, Scale: 0.5}, 1, 5, []int{0, 0}},
		{"packed", kernel.Attention{Heads: 2, KVHeads: 1, Dim: 4, Scale: 0.5, Causal: true}, 2, 17, []int{1, 5, 2, 6, 3, 2, 0, 0}},
		{"window", kernel.Attention{Heads: 2, KVHeads: 1, Dim: 4, Scale: 0.5, Causal: true, Window: 3}, 2, 17, full},
		{"window of one", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 3, Scale: 0.5, Causal: true, Window: 1}, 1, 6, full},
		{"window both ways", kernel.Attention{Heads: 2, KVHeads: 1, Dim: 4, Scale: 0.5, Window: 4}, 1, 17, full},
		{"qkv", kernel.Attention{Heads: 3, KVHeads: 3, Dim: 4, Scale: 0.5, Causal: true, Fused: "qkv"}, 2, 9, full},
		{"qkv grouped", kernel.Attention{Heads: 4, KVHeads: 2, Dim: 3, Scale: 0.5, Causal: true, Fused: "qkv"}, 2, 9, full},
		{"neox", kernel.Attention{Heads: 3, KVHeads: 3, Dim: 4, Scale: 0.5, Causal: true, Fused: "neox"}, 2, 9, []int{1, 4, 2, 3, 0, 0}},
		{"far scores", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 16, Scale: 5, Causal: true}, 1, 20, full},
	} {
		seg := segmented(c.batch, c.tokens, c.segments...)
		one := kerneltest.Case{
			Name: c.name, Kernel: c.k, X: append(attentionInputs(c.k, c.batch, c.tokens), seg),
			Ref: refAttention(c.k, c.batch, c.tokens, seg.I32), Tol: 1e-6, GradTol: 1e-6, Bad: badAttention(c.k),
		}
		if c.tokens == 1 || c.k.Window == 1 {
			one.Constant = []int{0, 1} // with one key in sight queries and keys have no influence: their gradients are mere rounding
		}
		kerneltest.Run(t, one)
	}
}

// Sizes above a tile: several tiles of queries and keys, tiles skipped for each kind of mask.
func TestAttentionOfManyTiles(t *testing.T) {
	for _, c := range []struct {
		name     string
		k        kernel.Attention
		tokens   int
		segments []int
	}{
		{"causal", kernel.Attention{Heads: 2, KVHeads: 1, Dim: 2, Scale: 0.7, Causal: true}, 300, []int{1, 0}},
		{"both ways", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 3, Scale: 0.7}, 270, []int{1, 0}},
		{"window", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 2, Scale: 0.7, Causal: true, Window: 70}, 530, []int{1, 0}},
		{"packed", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 2, Scale: 0.7, Causal: true}, 330, []int{1, 100, 2, 28, 3, 140, 0, 0}},
		{"packed both ways", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 2, Scale: 0.7}, 330, []int{0, 70, 1, 200, 2, 0}},
		{"padding first", kernel.Attention{Heads: 1, KVHeads: 1, Dim: 2, Scale: 0.7, Causal: true}, 330, []int{0, 300, 1, 0}},
	} {
		seg := segmented(1, c.tokens, c.segments...)
		kerneltest.Run(t, kerneltest.Case{
			Name: c.name, Kernel: c.k, X: append(attentionInputs(c.k, 1, c.tokens), seg),
			Ref: refAttention(c.k, 1, c.tokens, seg.I32), Tol: 1e-6, GradTol: 1e-6,
		})
	}
}

// badAttention lists inputs that do not fit k.
func badAttention(k kernel.Attention) [][]kernel.Spec {
	q, kv := k.Heads*k.Dim, k.KVHeads*k.Dim
	if k.Fused != "" {
		return [][]kernel.Spec{
			{spec(2, 3, q+2*kv)},
			{spec(2, 3, q+2*kv+1), specI32(2, 3)},
			{spec(2, 3, q+2*kv), specI32(3, 2)},
			{spec(6, q+2*kv), specI32(6)},
		}
	}
	return [][]kernel.Spec{
		{spec(2, 3, q), spec(2, 3, kv), spec(2, 3, kv)},
		{spec(2, 3, q+1), spec(2, 3, kv), spec(2, 3, kv), specI32(2, 3)},
		{spec(2, 3, q), spec(2, 4, kv), spec(2, 3, kv), specI32(2, 3)},
		{spec(2, 3, q), spec(2, 3, kv), spec(2, 3, kv), specI32(2, 4)},
		{spec(2, 3, q), spec(2, 3, kv), spec(2, 3, kv), spec(2, 3)},
	}
}

func TestAttentionRefusesBadConfigurations(t *testing.T) {
	for _, k := range []kernel.Attention{
		{Heads: 0, KVHeads: 1, Dim: 4}, {Heads: 3, KVHeads: 2, Dim: 4}, {Heads: 2, KVHeads: 0, Dim: 4}, {Heads: 2, KVHeads: 2},
		{Heads: 2, KVHeads: 2, Dim: 4, Window: -1}, {Heads: 2, KVHeads: 2, Dim: 4, Fused: "kqv"}, {Heads: 2, KVHeads: 1, Dim: 4, Fused: "neox"},
	} {
		in := []kernel.Spec{spec(1, 3, k.Heads*k.Dim), spec(1, 3, k.KVHeads*k.Dim), spec(1, 3, k.KVHeads*k.Dim), specI32(1, 3)}
		if k.Fused != "" {
			in = []kernel.Spec{spec(1, 3, (k.Heads+2*k.KVHeads)*k.Dim), specI32(1, 3)}
		}
		if _, err := k.Plan(in, make([]bool, len(in))); err == nil {
			t.Errorf("%+v accepted", k)
		}
	}
}

// A document must get the same output whether it is alone or packed behind others.
func TestAttentionPackedEqualsAlone(t *testing.T) {
	k := kernel.Attention{Heads: 2, KVHeads: 1, Dim: 8, Scale: 0.35, Causal: true}
	const before, own = 150, 90
	x := attentionInputs(k, 1, before+own)
	packed, alone := kernel.New(1, before+own, 16), kernel.New(1, own, 16)
	k.Forward(&kernel.Call{X: append(x, segmented(1, before+own, 1, before, 2, 0)), Y: packed})
	tail := make([]*kernel.Tensor, 3)
	for i, v := range x[:3] {
		w := v.Shape[2]
		tail[i] = kernel.FromF32(v.F32[before*w:], 1, own, w)
	}
	k.Forward(&kernel.Call{X: append(tail, segmented(1, own, 1, 0)), Y: alone})
	for i, v := range alone.F32 {
		if d := math.Abs(float64(v - packed.F32[before*16+i])); d > 1e-6 {
			t.Fatalf("element %d: %v alone, %v packed", i, v, packed.F32[before*16+i])
		}
	}
}
