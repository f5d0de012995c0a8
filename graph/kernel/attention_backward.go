package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// backwardArgs are the further operands of the backward pass.
type backwardArgs struct {
	dq, dk, dv, dy headView
	delta          []float32 // dy·y for each (batch, head, query)
}

// wantsScores reports whether the gradient of the scores is needed.
func (a *backwardArgs) wantsScores() bool { return a.dq.data != nil || a.dk.data != nil }

// Backward computes, with P the probabilities and Δ = rowsum(dy∘y),
//
//	dv = Pᵀ·dy, dS = P∘(dy·vᵀ - Δ), dq = Scale·dS·k, dk = Scale·dSᵀ·q
//
// tile by tile. One task owns a key/value head together with its query heads and adds their contributions in a fixed order.
func (k Attention) Backward(c *Call) {
	a := k.args(c)
	a.dq, a.dk, a.dv = k.views(c.DX[:k.inputs()])
	if a.dq.data == nil && a.dk.data == nil && a.dv.data == nil {
		return
	}
	a.dy, a.delta = view(c.DY, 0, k.Dim, k.Dim), c.Scratch
	attentionDelta.Run(a.batch*k.Heads, 1, a)
	attentionBackward.Run(a.batch*k.KVHeads, 1, a)
}

// attentionDelta runs over (sequence, head).
var attentionDelta = cpu.NewLoop(func(a *attentionArgs, lo, hi int) {
	for task := lo; task < hi; task++ {
		b, h := task/a.k.Heads, task%a.k.Heads
		for t := range a.keys {
			a.delta[task*a.keys+t] = float32(dot64(a.dy.row(b, h, t), a.y.row(b, h, t)))
		}
	}
})

// attentionBackward runs over (sequence, key/value head).
var attentionBackward = cpu.NewLoop(func(a *attentionArgs, lo, hi int) {
	buf := tiles.get()
	defer tiles.put(buf)
	group := a.k.Heads / a.k.KVHeads
	for task := lo; task < hi; task++ {
		b, kv := task/a.k.KVHeads, task%a.k.KVHeads
		a.clearGradients(b, kv, group)
		for k0 := 0; k0 < a.keys; k0 += keyTile {
			k1 := min(k0+keyTile, a.keys)
			key, v := a.key.rows(b, kv, k0, k1), a.v.rows(b, kv, k0, k1)
			buf.keysT.Pack(key.T())
			if a.wantsScores() {
				buf.valuesT.Pack(v.T())
			}
			if a.dq.data != nil {
				buf.keys.Pack(key)
			}
			for h := kv * group; h < (kv+1)*group; h++ {
				a.columnBlock(buf, b, h, kv, k0, k1)
			}
		}
	}
})

// clearGradients zeroes the gradients of one task, to which the tiles are added.
func (a *attentionArgs) clearGradients(b, kv, group int) {
	if a.dk.data != nil {
		a.dk.clear(b, kv, 0, a.keys)
	}
	if a.dv.data != nil {
		a.dv.clear(b, kv, 0, a.keys)
	}
	if a.dq.data != nil {
		for h := kv * group; h < (kv+1)*group; h++ {
			a.dq.clear(b, h, 0, a.keys)
		}
	}
}

// columnBlock adds what all queries of a head contribute through the keys [k0, k1).
func (a *attentionArgs) columnBlock(buf *tileBuffers, b, h, kv, k0, k1 int) {
	first, last := a.vis.queries(k0, k1, a.keys)
	for q0 := first; q0 < last; q0 += queryTile {
		if t, ok := a.tile(b, h, kv, q0, min(q0+queryTile, last), k0, k1); ok {
			a.tileGradient(buf, t, k0)
		}
	}
}

// tileGradient adds the contributions of one tile. The packed keys begin at first.
func (a *attentionArgs) tileGradient(buf *tileBuffers, t attentionTile, first int) {
	rows, cols := t.q1-t.q0, t.k1-t.k0
	q, dy := a.q.rows(t.b, t.h, t.q0, t.q1), a.dy.rows(t.b, t.h, t.q0, t.q1)
	lo, hi := t.k0-first, t.k1-first
	keysT := buf.keysT.Block(0, a.k.Dim, lo, hi)
	p := cpu.Dense(buf.scores[:rows*cols], rows, cols)
	cpu.GemmPacked(a.k.Scale, q, &keysT, 0, p)
	for r := range rows {
		a.probabilities(buf.scores[r*cols:(r+1)*cols], t, t.q0+r)
	}
	if a.dv.data != nil {
		cpu.Gemm(1, p.T(), dy, 1, a.dv.rows(t.b, t.kv, t.k0, t.k1))
	}
	if !a.wantsScores() {
		return
	}
	valuesT := buf.valuesT.Block(0, a.k.Dim, lo, hi)
	ds := cpu.Dense(buf.grads[:rows*cols], rows, cols)
	cpu.GemmPacked(1, dy, &valuesT, 0, ds)
	at := (t.b*a.k.Heads+t.h)*a.keys + t.q0
	for r, delta := range a.delta[at : at+rows] {
		cpu.SoftmaxGrad(buf.grads[r*cols:(r+1)*cols], buf.scores[r*cols:(r+1)*cols], delta)
	}
	if a.dq.data != nil {
		keys := buf.keys.Block(lo, hi, 0, a.k.Dim)
		cpu.GemmPacked(a.k.Scale, ds, &keys, 1, a.dq.rows(t.b, t.h, t.q0, t.q1))
	}
	if a.dk.data != nil {
		cpu.Gemm(a.k.Scale, ds.T(), q, 1, a.dk.rows(t.b, t.kv, t.k0, t.k1))
	}
}

// probabilities turns the scores of query q in a tile into probabilities.
func (a *attentionArgs) probabilities(row []float32, t attentionTile, q int) {
	lo, hi := a.vis.span(q, t.k0, row)
	clear(row[:lo])
	clear(row[hi:])
	visible := row[lo:hi]
	if t.mask == showsSome {
		hide(visible, a.segment(t.b, q, q+1)[0], a.segment(t.b, t.k0+lo, t.k0+hi))
	}
	at := 2 * ((t.b*a.k.Heads+t.h)*a.keys + q)
	cpu.ExpSub(visible, a.stats[at])
	cpu.Scale(visible, a.stats[at+1])
}
