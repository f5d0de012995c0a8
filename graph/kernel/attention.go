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

// The extents of a tile of scores. With heads of 64 to 128 its products take 2 to 4 MFLOP, and both tiles of the backward pass
// stay in a second-level cache of 512 KiB together with their operands.
const (
	queryTile = 64
	keyTile   = 256
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
	tiles := (a.q.tokens + queryTile - 1) / queryTile
	attentionForward.Run(a.batch*k.Heads*tiles, 1, a)
}

// attentionForward runs over (sequence, head, tile of queries).
var attentionForward = cpu.NewLoop(func(a *attentionArgs, lo, hi int) {
	buf := tiles.get()
	defer tiles.put(buf)
	n := (a.q.tokens + queryTile - 1) / queryTile
	for task := lo; task < hi; task++ {
		// The last tiles of a causal mask have the most keys: they go first, so that no worker is left alone with one.
		q0 := (n - 1 - task%n) * queryTile
		a.attend(buf, task/n/a.k.Heads, task/n%a.k.Heads, q0, min(q0+queryTile, a.q.tokens))
	}
})

// tileBuffers is the working memory of one worker.
type tileBuffers struct {
	scores, grads [queryTile * keyTile]float32
	peak, sum     [queryTile]float32
}

var tiles free[tileBuffers]

// attend computes the output of the queries [q0, q1) of one head.
func (a *attentionArgs) attend(buf *tileBuffers, b, h, q0, q1 int) {
	for r := range q1 - q0 {
		buf.peak[r], buf.sum[r] = float32(math.Inf(-1)), 0
	}
	kv := h / (a.k.Heads / a.k.KVHeads)
	q, y := a.q.rows(b, h, q0, q1), a.y.rows(b, h, q0, q1)
	beta := float32(0) // until the first tile has been written
	lo, hi := a.vis.keys(q0, q1, a.keys)
	for k0 := lo; k0 < hi; k0 += keyTile {
		k1 := min(k0+keyTile, hi)
		mask := segmentsOf(a.segment(b, q0, q1), a.segment(b, k0, k1))
		if mask == showsNone {
			continue
		}
		s := cpu.Dense(buf.scores[:(q1-q0)*(k1-k0)], q1-q0, k1-k0)
		cpu.Gemm(a.k.Scale, q, a.key.rows(b, kv, k0, k1).T(), 0, s)
		for r := range q1 - q0 {
			row := buf.scores[r*(k1-k0) : (r+1)*(k1-k0)]
			shrink := a.accumulate(row, b, q0+r, k0, mask, &buf.peak[r], &buf.sum[r])
			if beta != 0 && shrink != 1 {
				cpu.Scale(a.y.row(b, h, q0+r), shrink)
			}
		}
		cpu.Gemm(1, s, a.v.rows(b, kv, k0, k1), beta, y)
		beta = 1
	}
	if beta == 0 {
		a.y.clear(b, h, q0, q1)
	}
	a.finish(buf, b, h, q0, q1)
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
