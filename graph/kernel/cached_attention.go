package kernel

import "fmt"

// CachedAttention is causal Attention of T new tokens to themselves and to all tokens before them, whose keys and values are kept in
// caches: the step of text generation. It has no gradient.
//
// Inputs: q[B,T,Heads·Dim], k and v[B,T,KVHeads·Dim] or one fused tensor; cacheK and cacheV[B,max,KVHeads·Dim]; start I32[1], the
// number of tokens already cached. Forward writes the new keys and values into the caches at start, ..., start+T-1; query i then
// sees the keys j <= start+i of the caches (and i+start-j < Window when there is a window). The caller owns and advances start.
type CachedAttention Attention

// String returns "cached attention".
func (CachedAttention) String() string { return "cached attention" }

// Plan checks the inputs.
func (k CachedAttention) Plan(in []Spec, need []bool) (Plan, error) {
	a := Attention(k)
	want := []operand{{"q", activation}, {"k", activation}, {"v", activation}}
	if k.Fused != "" {
		want = []operand{{"qkv", activation}}
	}
	want = append(want, operand{"cacheK", activation}, operand{"cacheV", activation}, operand{"start", integer})
	if err := checkOperands("cached attention", in, need, want...); err != nil {
		return Plan{}, err
	}
	if anyOf(need) {
		return Plan{}, fmt.Errorf("cached attention: gradient wanted; use attention for training")
	}
	tokens, err := a.check("cached attention", in)
	if err != nil {
		return Plan{}, err
	}
	cache, start := in[a.inputs():a.inputs()+2], in[a.inputs()+2].Shape
	for _, s := range cache {
		if len(s.Shape) != 3 || s.Shape[0] != tokens[0] || s.Shape[1] < tokens[1] || s.Shape[2] != k.KVHeads*k.Dim || !s.Shape.Equal(cache[0].Shape) {
			return Plan{}, fmt.Errorf("cached attention: caches have shapes %v and %v; expected [%d,max,%d] with max at least %d",
				cache[0].Shape, cache[1].Shape, tokens[0], k.KVHeads*k.Dim, tokens[1])
		}
	}
	if start.Size() != 1 {
		return Plan{}, fmt.Errorf("cached attention: start has shape %v; expected one element", start)
	}
	return Plan{Out: Shape{tokens[0], tokens[1], k.Heads * k.Dim}}, nil
}

// Forward extends the caches and computes the output.
func (k CachedAttention) Forward(c *Call) {
	a := Attention(k)
	n := a.inputs()
	q, newK, newV := a.views(c.X[:n])
	cacheK, cacheV := view(c.X[n], 0, k.Dim, k.Dim), view(c.X[n+1], 0, k.Dim, k.Dim)
	start := int(c.X[n+2].I32[0])
	if start < 0 || start+q.tokens > cacheK.tokens {
		panic(fmt.Sprintf("cached attention: %d tokens from position %d do not fit into a cache of %d", q.tokens, start, cacheK.tokens))
	}
	batch := c.Y.Shape[0]
	for b := range batch {
		for h := range k.KVHeads {
			for t := range q.tokens {
				copy(cacheK.row(b, h, start+t), newK.row(b, h, t))
				copy(cacheV.row(b, h, start+t), newV.row(b, h, t))
			}
		}
	}
	a.forward(attentionArgs{
		k: a, q: q, key: cacheK, v: cacheV, y: view(c.Y, 0, k.Dim, k.Dim), batch: batch, keys: start + q.tokens,
		vis: visibility{causal: true, window: k.Window, shift: start},
	})
}

// Backward must not be called: Plan refuses gradients.
func (CachedAttention) Backward(*Call) {
	panic("cached attention: no gradient; use attention for training")
}
