package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// LMLoss is the language-model head with its loss: the sum of the cross-entropies of the logits h·Wᵀ + b, as CrossEntropy defines it.
// Logits exist only for a chunk of tokens at a time, never for the whole batch, and only for tokens that have a target: prompts and
// padding cost nothing.
//
// Inputs: h[..., d]; w, (V,d) or (d,V) with InOut; (b[V] with Bias); targets[...] I32. Output: [1].
//
// The gradient of h is finished in Forward up to the factor dy, while a chunk's probabilities are at hand. Where W or b is trained,
// Backward computes the logits once more, which is cheaper to hold than a second copy of W's gradient between the passes. In products
// of 2·tokens·V·d operations: one for the loss, one more for dh, two for dW and db.
type LMLoss struct {
	Bias  bool // there is an input b
	InOut bool // w is (d,V)
	// MaxLogits bounds the logits that exist at a time (at least those of one token do); 0 stands for 32 Mi, 128 MiB. A chunk then still
	// has 256 tokens at a vocabulary of 128k, enough for products to run at full speed.
	MaxLogits int
}

// String returns "lm loss".
func (LMLoss) String() string { return "lm loss" }

// chunk returns how many of the tokens have their logits computed together.
func (k LMLoss) chunk(tokens, vocabulary int) int {
	limit := k.MaxLogits
	if limit == 0 {
		limit = 32 << 20
	}
	return min(tokens, max(1, limit/max(1, vocabulary)))
}

// Plan checks the inputs. Saved holds the gradient of h for dy = 1.
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
	chunk := k.chunk(h.Rows(), v)
	p := Plan{Out: Shape{1}, ForwardScratch: chunk * (v + 1 + h.Last())}
	if need[0] {
		p.Saved = h.Size()
	}
	if k.Bias {
		if err := checkShape("lm loss", "b", in[2].Shape, v); err != nil {
			return Plan{}, err
		}
		p.ForwardScratch += vecScratch(in[2])
	}
	if need[1] || k.Bias && need[2] {
		p.BackwardScratch = p.ForwardScratch
		p.ReadsX = []int{0, 1, 2, 3}[:len(in)]
	}
	if k.Bias && need[2] {
		p.BackwardScratch += v + columnSumScratch(chunk, v)
	}
	return p, nil
}

// head walks through the tokens that have a target in chunks.
type head struct {
	LMLoss
	hidden    cpu.Mat // h of all tokens
	all       []int32 // their targets
	w         *Tensor
	b         []float32
	v         int // size of the vocabulary
	capacity  int // tokens of a chunk
	at        int // where the search for the next chunk begins
	chunkRows *chunkRows
	mem       [3][]float32 // logits, h and losses of a chunk
	rest      []float32    // of the scratch

	// The current chunk: one row for each of its tokens.
	h, logits cpu.Mat
	losses    []float32
}

// chunkRows says which tokens a chunk holds, and their targets.
type chunkRows struct{ tokens, targets []int32 }

var freeChunkRows free[chunkRows]

// start lays out the working memory of a pass, which stop gives back.
func (k LMLoss) start(c *Call) head {
	d := head{LMLoss: k, hidden: c.X[0].Mat(), all: c.X[len(c.X)-1].I32, w: c.X[1], chunkRows: freeChunkRows.get()}
	d.v = c.X[1].Shape[0]
	if k.InOut {
		d.v = c.X[1].Shape[1]
	}
	d.rest = c.Scratch
	if k.Bias {
		d.b, d.rest = vec(c.X[2], d.rest)
	}
	d.capacity = k.chunk(d.hidden.Rows, d.v)
	for i, n := range [3]int{d.v, d.hidden.Cols, 1} {
		d.mem[i] = take(&d.rest, d.capacity*n)
	}
	return d
}

func (d *head) stop() { freeChunkRows.put(d.chunkRows) }

// next computes the logits and losses of the next chunk, and with probabilities turns the logits into their gradient, the softmax less
// one at the target. It returns false when no token is left.
func (d *head) next(probabilities bool) bool {
	n := d.gather()
	if n == 0 {
		return false
	}
	d.logits, d.losses = cpu.Dense(d.mem[0][:n*d.v], n, d.v), d.mem[2][:n]
	beta := float32(0)
	if d.Bias {
		fillRows(d.logits.Data, d.b)
		beta = 1
	}
	mulWeight(1, d.h, d.w, !d.InOut, beta, d.logits)
	a := lossArgs{logits: d.logits.Data, targets: d.chunkRows.targets, losses: d.losses}
	if probabilities {
		probabilityLoop.Run(n, rowGrain(d.v), a)
	} else {
		lossLoop.Run(n, rowGrain(d.v), a)
	}
	return true
}

// gather brings the next tokens that have a target together and returns their number.
func (d *head) gather() int {
	r, width := d.chunkRows, d.hidden.Cols
	r.tokens, r.targets = r.tokens[:0], r.targets[:0]
	for ; d.at < len(d.all) && len(r.tokens) < d.capacity; d.at++ {
		if d.all[d.at] != ignored {
			copy(d.mem[1][len(r.tokens)*width:], d.hidden.Data[d.at*width:][:width])
			r.tokens, r.targets = append(r.tokens, int32(d.at)), append(r.targets, d.all[d.at])
		}
	}
	n := len(r.tokens)
	d.h = cpu.Dense(d.mem[1][:n*width], n, width)
	return n
}

// inputGrad overwrites h of the chunk with its gradient logits·W and writes that to the tokens' rows of dh.
func (d *head) inputGrad(dh []float32) {
	mulWeight(1, d.logits, d.w, d.InOut, 0, d.h)
	for i, token := range d.chunkRows.tokens {
		copy(dh[int(token)*d.h.Cols:], d.h.Data[i*d.h.Cols:][:d.h.Cols])
	}
}

// probabilityLoop runs over rows. It computes the losses and overwrites the logits with their gradient.
var probabilityLoop = cpu.NewLoop(func(a *lossArgs, lo, hi int) {
	v := len(a.logits) / len(a.targets)
	for r := lo; r < hi; r++ {
		x, target := a.logits[r*v:(r+1)*v], a.targets[r]
		top, at, sum := cpu.Max(x), x[target], 0.0
		for first := 0; first < v; first += expBlock {
			sum += float64(cpu.ExpSub(x[first:min(first+expBlock, v)], top))
		}
		a.losses[r] = rowLoss(at, top, sum)
		cpu.Scale(x, float32(1/sum))
		x[target]--
	}
})

// Forward computes the loss and, if wanted, the gradient of h.
func (k LMLoss) Forward(c *Call) {
	d := k.start(c)
	defer d.stop()
	checkTargets("lm loss", d.all, d.v)
	grad := len(c.Saved) > 0
	clear(c.Saved)
	sum := 0.0
	for d.next(grad) {
		sum += total(d.losses)
		if grad {
			d.inputGrad(c.Saved)
		}
	}
	c.Y.F32[0] = float32(sum)
}

// Backward scales the gradient of h and computes those of W and b chunk by chunk.
func (k LMLoss) Backward(c *Call) {
	dy := c.DY.F32[0]
	if dh := c.DX[0]; dh != nil {
		scaleTo(dh.F32, dy, c.Saved)
	}
	dw := c.DX[1]
	var db []float32
	if k.Bias && c.DX[2] != nil {
		db = c.DX[2].F32
	}
	if dw == nil && db == nil {
		return
	}
	d := k.start(c)
	defer d.stop()
	clear(db)
	beta := float32(0) // the first chunk overwrites
	for ; d.next(true); beta = 1 {
		if dw != nil {
			weightGrad(dy, d.logits, d.h, k.InOut, beta, dw)
		}
		if db != nil {
			mem := d.rest
			sum := take(&mem, len(db))
			columnSum(sum, d.logits.Data, mem)
			cpu.Axpy(dy, sum, db)
		}
	}
	if dw != nil && beta == 0 {
		clear(dw.F32)
	}
}
