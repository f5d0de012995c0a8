package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// LMLoss is the language-model head with its loss: the sum of the cross-entropies of the logits h·Wᵀ + b, as CrossEntropy defines it.
// Logits exist only for a chunk of tokens at a time, never for the whole batch.
//
// Inputs: h[..., d]; w, (V,d) or (d,V) with InOut; (b[V] with Bias); targets[...] I32. Output: [1].
//
// The gradient of h is finished in Forward up to the factor dy, while a chunk's probabilities are at hand. Where W or b is trained,
// Backward computes the logits once more, which is cheaper to hold than a second copy of W's gradient between the passes. In products
// of 2·tokens·V·d operations: one for the loss, one more for dh, two for dW and db.
type LMLoss struct {
	Bias  bool // there is an input b
	InOut bool // w is (d,V)
	// MaxLogits bounds the logits that exist at a time (at least those of one token do); 0 stands for 8 Mi, 32 MiB. A chunk then still
	// has 64 tokens at a vocabulary of 128k, enough for products to run at full speed.
	MaxLogits int
}

// String returns "lm loss".
func (LMLoss) String() string { return "lm loss" }

// chunk returns how many of the tokens have their logits computed together.
func (k LMLoss) chunk(tokens, vocabulary int) int {
	limit := k.MaxLogits
	if limit == 0 {
		limit = 8 << 20
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
	p := Plan{Out: Shape{1}, ForwardScratch: chunk * (v + 1)}
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

// head walks through the tokens in chunks.
type head struct {
	LMLoss
	h, logits cpu.Mat // of the chunk
	w         *Tensor
	b         []float32
	losses    []float32
	targets   []int32 // of the chunk
	first     int     // its first token
	rest      []float32
	all       cpu.Mat
	ids       []int32
}

// start lays out the working memory of a pass.
func (k LMLoss) start(c *Call) head {
	d := head{LMLoss: k, w: c.X[1], all: c.X[0].Mat(), ids: c.X[len(c.X)-1].I32}
	v := c.X[1].Shape[0]
	if k.InOut {
		v = c.X[1].Shape[1]
	}
	mem := c.Scratch
	if k.Bias {
		d.b, mem = vec(c.X[2], mem)
	}
	chunk := k.chunk(d.all.Rows, v)
	d.logits = cpu.Dense(take(&mem, chunk*v), chunk, v)
	d.losses = take(&mem, chunk)
	d.rest = mem
	return d
}

// next computes the logits and losses of the next chunk, and with probabilities turns the logits into their gradient, the softmax less
// one at the target. It returns false when no token is left.
func (d *head) next(probabilities bool) bool {
	d.first += len(d.targets)
	n := min(d.logits.Rows, d.all.Rows-d.first)
	if n == 0 {
		return false
	}
	v := d.logits.Cols
	d.targets, d.losses = d.ids[d.first:d.first+n], d.losses[:n]
	d.h = cpu.Dense(d.all.Data[d.first*d.all.Cols:][:n*d.all.Cols], n, d.all.Cols)
	d.logits = cpu.Dense(d.logits.Data[:n*v], n, v)
	beta := float32(0)
	if d.Bias {
		fillRows(d.logits.Data, d.b)
		beta = 1
	}
	mulWeight(1, d.h, d.w, !d.InOut, beta, d.logits)
	a := lossArgs{logits: d.logits.Data, targets: d.targets, losses: d.losses}
	if probabilities {
		probabilityLoop.Run(n, rowGrain(v), a)
	} else {
		lossLoop.Run(n, rowGrain(v), a)
	}
	return true
}

// probabilityLoop runs over rows. It computes the losses and overwrites the logits with their gradient.
var probabilityLoop = cpu.NewLoop(func(a *lossArgs, lo, hi int) {
	v := len(a.logits) / len(a.targets)
	for r := lo; r < hi; r++ {
		x, target := a.logits[r*v:(r+1)*v], a.targets[r]
		if target == ignored {
			a.losses[r] = 0
			clear(x)
			continue
		}
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
	checkTargets("lm loss", d.ids, d.logits.Cols)
	grad := len(c.Saved) > 0
	sum := 0.0
	for d.next(grad) {
		sum += total(d.losses)
		if grad {
			dh := c.Saved[d.first*d.h.Cols:][:d.h.Rows*d.h.Cols]
			mulWeight(1, d.logits, d.w, k.InOut, 0, cpu.Dense(dh, d.h.Rows, d.h.Cols))
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
	clear(db)
	for d := k.start(c); d.next(true); {
		beta := min(float32(d.first), 1) // the first chunk overwrites
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
}
