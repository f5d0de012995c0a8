package kernel

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Attention is scaled dot-product attention with several heads, y = softmax(Scale·q·kᵀ + mask)·v for each head, where groups of
// Heads/KVHeads query heads share a key/value head (grouped-query attention).
//
// Inputs: q[B,T,Heads·Dim], k and v[B,T,KVHeads·Dim], or one fused tensor, and segments I32[B,T]. Output: [B,T,Heads·Dim]. Query i
// sees key j if and only if
//
//	seg[j] != 0 && (seg[i] == seg[j] || seg[i] == 0) && (!Causal || j <= i) && (Window == 0 || i-j < Window)
//
// so that documents packed into one row (segments 1, 2, ...) do not see each other, and padding (segment 0) is seen by nobody but
// sees what precedes it, as with Hugging Face's masks. A query that sees nothing yields 0.
//
// The work goes by tiles of scores, with running maxima and sums, so that no T×T matrix ever exists (Dao, "FlashAttention-2", 2023);
// Backward computes the tiles again from the saved maximum and sum of each row. Time is O(T²·Dim) a head, less what is masked by
// tiles; Saved is two floats for each query of each head.
type Attention struct {
	Heads, KVHeads, Dim int
	Window              int
	Scale               float32
	Causal              bool
	Fused               string // "", "qkv": [q heads | k heads | v heads], or "neox": [q, k, v] of each head
}

// String returns "attention".
func (Attention) String() string { return "attention" }

// Plan checks the inputs (q, k, v or the fused tensor, then segments).
func (k Attention) Plan(in []Spec, need []bool) (Plan, error) {
	want := []operand{{"q", activation}, {"k", activation}, {"v", activation}, {"segments", integer}}
	if k.Fused != "" {
		want = []operand{{"qkv", activation}, {"segments", integer}}
	}
	if err := checkOperands("attention", in, need, want...); err != nil {
		return Plan{}, err
	}
	tokens, err := k.check("attention", in)
	if err != nil {
		return Plan{}, err
	}
	if s := in[len(in)-1].Shape; !s.Equal(tokens) {
		return Plan{}, fmt.Errorf("attention: segments have shape %v; expected %v", s, tokens)
	}
	p := Plan{Out: Shape{tokens[0], tokens[1], k.Heads * k.Dim}}
	if anyOf(need) {
		p.Saved = 2 * tokens.Size() * k.Heads
		p.BackwardScratch = tokens.Size() * k.Heads
		p.ReadsY = true
		for i := range in {
			p.ReadsX = append(p.ReadsX, i)
		}
	}
	return p, nil
}

// The extents of a tile of scores. Low tiles compute little beyond a causal mask, and both tiles of the backward pass take 64 KiB,
// so that they stay in the second-level cache with their operands. A tile of keys is packed once for a block of queries, unless there are only few.
const (
	queryTile  = 32
	queryBlock = 256
	keyTile    = 256
	fewQueries = 16
)

// attentionArgs are the operands of a pass over all heads.
type attentionArgs struct {
	k        Attention
	q, key   headView
	v, y     headView
	segments []int32 // [B, tokens], nil for none
	batch    int
	keys     int // number of keys in each sequence
	vis      visibility
	stats    []float32 // maximum and reciprocal sum for each (batch, head, query), nil when nobody wants them
	backwardArgs
}

// args collects the operands that both passes have in common.
func (k Attention) args(c *Call) attentionArgs {
	n := k.inputs()
	a := attentionArgs{k: k, y: view(c.Y, 0, k.Dim, k.Dim), segments: c.X[n].I32, stats: c.Saved}
	a.q, a.key, a.v = k.views(c.X[:n])
	a.batch, a.keys = c.Y.Shape[0], c.Y.Shape[1]
	a.vis = visibility{causal: k.Causal, window: k.Window}
	return a
}

// few reports whether there are so few queries that packing keys for them does not pay.
func (a *attentionArgs) few() bool { return a.q.tokens <= fewQueries }

// segment returns the segment numbers of the tokens [t0, t1) of a sequence, nil when there are none.
func (a *attentionArgs) segment(b, t0, t1 int) []int32 {
	if a.segments == nil {
		return nil
	}
	return a.segments[b*a.keys+t0 : b*a.keys+t1]
}

// Forward computes the output and saves the statistics of each row of scores.
func (k Attention) Forward(c *Call) { k.forward(k.args(c)) }

func (k Attention) forward(a attentionArgs) {
	blocks := (a.q.tokens + queryBlock - 1) / queryBlock
	attentionForward.Run(a.batch*k.Heads*blocks, 1, a)
}

// attentionForward runs over (sequence, head, block of queries).
var attentionForward = cpu.NewLoop(func(a *attentionArgs, lo, hi int) {
	buf := tiles.get()
	defer tiles.put(buf)
	n := (a.q.tokens + queryBlock - 1) / queryBlock
	for task := lo; task < hi; task++ {
		// The last blocks of a causal mask have the most keys: they go first, so that no worker is left alone with one.
		q0 := (n - 1 - task%n) * queryBlock
		a.attend(buf, task/n/a.k.Heads, task/n%a.k.Heads, q0, min(q0+queryBlock, a.q.tokens))
	}
})

// tileBuffers is the working memory of one worker.
type tileBuffers struct {
	scores, grads [queryTile * keyTile]float32
	peak, sum     [queryBlock]float32
	// The tile of keys and values at hand, as right operands: the transposes for products with queries and with gradients of outputs.
	keys, values   cpu.PackedB
	keysT, valuesT cpu.PackedB
}

var tiles free[tileBuffers]

// attend computes the output of the queries [q0, q1) of one head.
func (a *attentionArgs) attend(buf *tileBuffers, b, h, q0, q1 int) {
	for r := range q1 - q0 {
		buf.peak[r], buf.sum[r] = float32(math.Inf(-1)), 0
	}
	var begun [queryBlock / queryTile]bool // the outputs of a tile of queries have been written
	kv := h / (a.k.Heads / a.k.KVHeads)
	first, last := a.vis.keys(q0, q1, a.keys)
	for k0 := first; k0 < last; k0 += keyTile {
		k1, packed := min(k0+keyTile, last), a.few()
		for i := 0; q0+i*queryTile < q1; i++ {
			t, ok := a.tile(b, h, kv, q0+i*queryTile, min(q0+(i+1)*queryTile, q1), k0, k1)
			if !ok {
				continue
			}
			if !packed {
				buf.keysT.Pack(a.key.rows(b, kv, k0, k1).T())
				buf.values.Pack(a.v.rows(b, kv, k0, k1))
				packed = true
			}
			a.attendTile(buf, t, k0, q0, begun[i])
			begun[i] = true
		}
	}
	for i := range begun {
		if t0 := q0 + i*queryTile; t0 < q1 && !begun[i] {
			a.y.clear(b, h, t0, min(t0+queryTile, q1))
		}
	}
	a.finish(buf, b, h, q0, q1)
}

// attentionTile names a tile of scores: queries [q0, q1) of head h with keys [k0, k1) of head kv in sequence b.
type attentionTile struct {
	b, h, kv       int
	q0, q1, k0, k1 int
	mask           segmentMask
}

// tile returns the tile of those of the keys [k0, k1), packed together, that queries may see, and whether there are any.
func (a *attentionArgs) tile(b, h, kv, q0, q1, k0, k1 int) (t attentionTile, ok bool) {
	lo, hi := a.vis.keys(q0, q1, a.keys)
	lo, hi = max(0, lo-k0)/cpu.PanelCols*cpu.PanelCols+k0, min(hi, k1)
	if lo >= hi {
		return t, false
	}
	t = attentionTile{b, h, kv, q0, q1, lo, hi, segmentsOf(a.segment(b, q0, q1), a.segment(b, lo, hi))}
	return t, t.mask != showsNone
}

// attendTile adds what a tile contributes to the outputs of its queries. The packed keys begin at first, the statistics at query q0.
func (a *attentionArgs) attendTile(buf *tileBuffers, t attentionTile, first, q0 int, begun bool) {
	rows, cols := t.q1-t.q0, t.k1-t.k0
	s := cpu.Dense(buf.scores[:rows*cols], rows, cols)
	q, y := a.q.rows(t.b, t.h, t.q0, t.q1), a.y.rows(t.b, t.h, t.q0, t.q1)
	if a.few() {
		cpu.Gemm(a.k.Scale, q, a.key.rows(t.b, t.kv, t.k0, t.k1).T(), 0, s)
	} else {
		keysT := buf.keysT.Block(0, a.k.Dim, t.k0-first, t.k1-first)
		cpu.GemmPacked(a.k.Scale, q, &keysT, 0, s)
	}
	for r := range rows {
		q := t.q0 + r
		shrink := a.accumulate(s.Data[r*cols:(r+1)*cols], t.b, q, t.k0, t.mask, &buf.peak[q-q0], &buf.sum[q-q0])
		if begun && shrink != 1 {
			cpu.Scale(a.y.row(t.b, t.h, q), shrink)
		}
	}
	beta := float32(0)
	if begun {
		beta = 1
	}
	if a.few() {
		cpu.Gemm(1, s, a.v.rows(t.b, t.kv, t.k0, t.k1), beta, y)
	} else {
		values := buf.values.Block(t.k0-first, t.k1-first, 0, a.k.Dim)
		cpu.GemmPacked(1, s, &values, beta, y)
	}
}

// accumulate turns a row of scores into exponentials relative to the largest score so far, adds them to the running sum, and returns
// the factor by which earlier exponentials have to shrink.
func (a *attentionArgs) accumulate(row []float32, b, q, k0 int, mask segmentMask, peak, sum *float32) float32 {
	lo, hi := a.vis.span(q, k0, row)
	clear(row[:lo])
	clear(row[hi:])
	visible := row[lo:hi]
	if mask == showsSome {
		hide(visible, a.segment(b, q, q+1)[0], a.segment(b, k0+lo, k0+hi))
	}
	top := *peak
	if len(visible) > 0 {
		top = max(top, cpu.Max(visible))
	}
	if math.IsInf(float64(top), -1) {
		clear(visible)
		return 1
	}
	shrink := float32(math.Exp(float64(*peak) - float64(top)))
	*sum = *sum*shrink + cpu.ExpSub(visible, top)
	*peak = top
	return shrink
}

// finish divides the outputs by the sums of exponentials and saves the statistics.
func (a *attentionArgs) finish(buf *tileBuffers, b, h, q0, q1 int) {
	for q := q0; q < q1; q++ {
		peak, inv := buf.peak[q-q0], float32(0) // a query that sees nothing keeps 0 and gets no gradient
		if sum := buf.sum[q-q0]; sum != 0 {
			inv = 1 / sum
			cpu.Scale(a.y.row(b, h, q), inv)
		} else {
			peak = 0
		}
		if len(a.stats) > 0 {
			at := 2 * ((b*a.k.Heads+h)*a.q.tokens + q)
			a.stats[at], a.stats[at+1] = peak, inv
		}
	}
}
