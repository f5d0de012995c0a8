package kernel

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// LMLoss is the language-model head with its loss: the sum of the cross-entropies of the logits h·Wᵀ + b, as CrossEntropy defines it.
//
// Inputs: h[..., d]; w, (V,d) or (d,V) with InOut; (b[V] with Bias); targets[...] I32. Output: [1].
//
// Logits never leave the cache: they exist for a tile of tokens and entries of the vocabulary at a time, with a running maximum and sum
// for each token, and only for tokens that have a target. The gradient of h is the mean of the rows of W under the softmax less the row
// of the target, which is what attention computes with W for keys and values (Dao, "FlashAttention-2", 2023). Forward finishes it up to
// the factor dy. Where W or b is trained, Backward computes the logits once more. In products of 2·tokens·V·d operations: one for the
// loss, one more for dh, two for dW and db.
type LMLoss struct {
	Bias  bool // there is an input b
	InOut bool // w is (d,V)
}

// The extents of a tile of logits, which stays in a second-level cache of 1 MiB with what a product reads beside it.
const (
	lossTokens  = 128
	lossEntries = 32 * cpu.PanelCols
)

// String returns "lm loss".
func (LMLoss) String() string { return "lm loss" }

// Plan checks the inputs. Saved holds the largest logit of each token that has a target with the reciprocal of its sum, and the gradient
// of h for dy = 1.
func (k LMLoss) Plan(in []Spec, need []bool) (Plan, error) {
	want := []operand{{"h", activation}, {"w", stored}, {"targets", integer}}
	if k.Bias {
		want = []operand{{"h", activation}, {"w", stored}, {"b", stored}, {"targets", integer}}
	}
	if err := checkOperands("lm loss", in, need, want...); err != nil {
		return Plan{}, err
	}
	h, targets := in[0].Shape, in[len(in)-1].Shape
	_, v, err := linearShape("lm loss", h, in[1].Shape, k.InOut)
	if err != nil {
		return Plan{}, err
	}
	if err := checkShape("lm loss", "targets", targets, h[:len(h)-1]...); err != nil {
		return Plan{}, err
	}
	p := Plan{Out: Shape{1}, ForwardScratch: h.Size()}
	if anyOf(need) {
		p.Saved = 2 * h.Rows()
	}
	if need[0] {
		p.Saved += h.Size()
	}
	if k.Bias {
		if err := checkShape("lm loss", "b", in[2].Shape, v); err != nil {
			return Plan{}, err
		}
		p.ForwardScratch += vecScratch(in[2])
	}
	block := min(v, lossEntries)
	if need[1] || k.Bias && need[2] {
		p.BackwardScratch = p.ForwardScratch + h.Rows()*block
		p.ReadsX = []int{0, 1, 2, 3}[:len(in)]
	}
	if k.Bias && need[2] {
		p.BackwardScratch += columnSumScratch(h.Rows(), block)
	}
	return p, nil
}

// lmHead is a pass over the tokens that have a target.
type lmHead struct {
	LMLoss
	*lmTokens
	w *Tensor
	b []float32
	v int     // size of the vocabulary
	h cpu.Mat // of those tokens
}

// lmTokens is what a pass knows of the tokens that have a target, and its working memory.
type lmTokens struct {
	tokens, targets []int32
	stats           []lmStats
	packs           [2]cpu.PackedB // a block of W
}

var idleLMTokens free[lmTokens]

// start brings the tokens that have a target together; mem is what it leaves of the scratch. stop ends the pass.
func (k LMLoss) start(c *Call) (d lmHead, mem []float32) {
	d = lmHead{LMLoss: k, lmTokens: idleLMTokens.get(), w: c.X[1], v: c.X[1].Shape[0], h: c.X[0].Mat()}
	if k.InOut {
		d.v = c.X[1].Shape[1]
	}
	all := c.X[len(c.X)-1].I32
	checkTargets("lm loss", all, d.v)
	mem = c.Scratch
	if k.Bias {
		d.b, mem = vec(c.X[2], mem)
	}
	d.tokens, d.targets, d.stats = d.tokens[:0], d.targets[:0], d.stats[:0]
	for i, t := range all {
		if t != ignored {
			d.tokens, d.targets = append(d.tokens, int32(i)), append(d.targets, t)
			d.stats = append(d.stats, lmStats{peak: float32(math.Inf(-1))})
		}
	}
	width := d.h.Cols
	h := take(&mem, d.h.Rows*width)[:len(d.tokens)*width]
	if len(d.tokens) < d.h.Rows {
		for i, t := range d.tokens {
			copy(h[i*width:], d.h.Data[int(t)*width:][:width])
		}
		d.h = cpu.Dense(h, len(d.tokens), width)
	}
	return d, mem
}

func (d *lmHead) stop() { idleLMTokens.put(d.lmTokens) }

// tiles returns the tiles of a block of the vocabulary.
func (d *lmHead) tiles(v0 int) lmTiles {
	v1 := min(v0+lossEntries, d.v)
	return lmTiles{lmHead: *d, v0: v0, v1: v1, logits: d.w.packedBlock(!d.InOut, 0, d.h.Cols, v0, v1, &d.packs[0])}
}

// run computes the tiles.
func (d *lmHead) run(loop *cpu.Loop[lmTiles], a lmTiles) {
	loop.Run((len(d.tokens)+lossTokens-1)/lossTokens, 1, a)
}

// Forward computes the loss and, if wanted, the gradient of h.
func (k LMLoss) Forward(c *Call) {
	d, _ := k.start(c)
	defer d.stop()
	width := d.h.Cols
	stats, dh := k.saved(c)
	for v0 := 0; v0 < d.v; v0 += lossEntries {
		a := d.tiles(v0)
		if len(dh) > 0 {
			a.input = d.w.packedBlock(d.InOut, v0, a.v1, 0, width, &d.packs[1])
			a.dh = cpu.Dense(dh[:len(d.tokens)*width], len(d.tokens), width)
		}
		d.run(lmForward, a)
	}
	loss := 0.0
	for i, s := range d.stats {
		loss += float64(rowLoss(s.target, s.peak, s.sum))
		if len(stats) > 0 {
			stats[2*i], stats[2*i+1] = s.peak, float32(1/s.sum)
		}
	}
	c.Y.F32[0] = float32(loss)
	if len(dh) > 0 {
		lmFinish.Run(len(d.tokens), rowGrain(width), lmTiles{lmHead: d, dh: cpu.Dense(dh, len(d.tokens), width)})
		spreadRows(dh, width, d.tokens)
	}
}

// saved returns the parts of Saved, which are empty where nobody wants them.
func (LMLoss) saved(c *Call) (stats, dh []float32) {
	n := min(len(c.Saved), 2*c.X[0].Shape.Rows())
	return c.Saved[:n], c.Saved[n:]
}

// spreadRows moves row i to row to[i], where to ascends, and clears all others.
func spreadRows(rows []float32, width int, to []int32) {
	end := len(rows)
	for i := len(to) - 1; i >= 0; i-- {
		at := int(to[i]) * width
		clear(rows[at+width : end])
		copy(rows[at:at+width], rows[i*width:])
		end = at
	}
	clear(rows[:end])
}

// Backward scales the gradient of h and computes those of W and b block by block.
func (k LMLoss) Backward(c *Call) {
	dy := c.DY.F32[0]
	stats, unscaled := k.saved(c)
	if dh := c.DX[0]; dh != nil {
		scaleTo(dh.F32, dy, unscaled)
	}
	dw := c.DX[1]
	var db []float32
	if k.Bias && c.DX[2] != nil {
		db = c.DX[2].F32
	}
	if dw == nil && db == nil {
		return
	}
	d, mem := k.start(c)
	defer d.stop()
	n := len(d.tokens)
	grads := take(&mem, c.X[0].Shape.Rows()*min(d.v, lossEntries))
	for v0 := 0; v0 < d.v; v0 += lossEntries {
		a := d.tiles(v0)
		a.dy, a.saved = dy, stats
		a.grads = cpu.Dense(grads[:n*(a.v1-v0)], n, a.v1-v0)
		d.run(lmBackward, a)
		if dw != nil {
			weightGrad(1, a.grads, d.h, k.InOut, 0, k.part(dw.Mat(), v0, a.v1))
		}
		if db != nil {
			columnSum(db[v0:a.v1], a.grads.Data, mem)
		}
	}
}

// part returns the rows of w that belong to the entries [v0, v1) of the vocabulary, or the columns with InOut.
func (k LMLoss) part(w cpu.Mat, v0, v1 int) cpu.Mat {
	if k.InOut {
		return w.Block(0, v0, w.Rows, v1-v0)
	}
	return w.Block(v0, 0, v1-v0, w.Cols)
}
