package kernel

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// ignored marks a target without a loss, the ignore_index of PyTorch and Hugging Face.
const ignored = -100

// CrossEntropy is the sum over all rows of -log softmax(logits)[target]; rows with target -100 count nothing. Dividing by the number of
// targets, which may span several batches, is left to the caller.
//
// Inputs: logits[..., V], targets[...] I32. Output: [1]. Any other target outside [0, V) panics with its place; the host makes that an
// error. The gradient may overwrite the logits.
type CrossEntropy struct{}

// String returns "cross entropy".
func (CrossEntropy) String() string { return "cross entropy" }

// Plan checks the inputs logits and targets. Saved holds for every row its largest logit and 1/Σexp(x - largest).
func (CrossEntropy) Plan(in []Spec, need []bool) (Plan, error) {
	if err := checkOperands("cross entropy", in, need, operand{"logits", activation}, operand{"targets", integer}); err != nil {
		return Plan{}, err
	}
	logits := in[0].Shape
	if len(logits) == 0 || logits.Last() == 0 {
		return Plan{}, fmt.Errorf("cross entropy: logits have shape %v; expected [...,V]", logits)
	}
	if err := checkShape("cross entropy", "targets", in[1].Shape, logits[:len(logits)-1]...); err != nil {
		return Plan{}, err
	}
	p := Plan{Out: Shape{1}, ForwardScratch: logits.Rows()}
	if need[0] {
		p.Saved, p.ReadsX, p.DXOverX = 2*logits.Rows(), []int{0, 1}, []int{0}
	}
	return p, nil
}

// Forward computes the loss.
func (CrossEntropy) Forward(c *Call) {
	v := c.X[0].Shape.Last()
	checkTargets("cross entropy", c.X[1].I32, v)
	losses := c.Scratch[:c.X[1].Len()]
	lossLoop.Run(len(losses), rowGrain(v), lossArgs{logits: c.X[0].F32, targets: c.X[1].I32, losses: losses, stats: c.Saved})
	c.Y.F32[0] = float32(total(losses))
}

// checkTargets panics if a target is neither ignored nor one of n classes.
func checkTargets(kernel string, targets []int32, n int) {
	for i, t := range targets {
		if t != ignored && (t < 0 || int(t) >= n) {
			panic(fmt.Sprintf("%s: target %d of token %d; expected 0 to %d, or %d for none", kernel, t, i, n-1, ignored))
		}
	}
}

// total returns the sum of x, added up in float64.
func total(x []float32) (sum float64) {
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}

// lossArgs are the operands of lossLoop and lossGradLoop.
type lossArgs struct {
	logits  []float32 // [len(targets), V]
	targets []int32
	losses  []float32 // one a row
	stats   []float32 // two a row, empty when nobody wants them
	grad    []float32 // [len(targets), V]
	dy      float32
}

// expBlock is how many logits are exponentiated at once.
const expBlock = 1024

// expBlocks holds working memory of lossLoop, which must leave the logits as they are.
var expBlocks free[[expBlock]float32]

// lossLoop runs over rows.
var lossLoop = cpu.NewLoop(func(a *lossArgs, lo, hi int) {
	work := expBlocks.get()
	defer expBlocks.put(work)
	v := len(a.logits) / len(a.targets)
	for r := lo; r < hi; r++ {
		if a.losses[r] = 0; a.targets[r] == ignored {
			continue
		}
		x := a.logits[r*v : (r+1)*v]
		top, sum := cpu.Max(x), 0.0
		for at := 0; at < v; at += expBlock {
			block := work[:copy(work[:], x[at:])]
			sum += float64(cpu.ExpSub(block, top))
		}
		a.losses[r] = rowLoss(x[a.targets[r]], top, sum)
		if len(a.stats) > 0 {
			a.stats[2*r], a.stats[2*r+1] = top, float32(1/sum)
		}
	}
})

// rowLoss returns -log(e^(x-top)/sum) for the logit x of the target.
func rowLoss(x, top float32, sum float64) float32 {
	return float32(math.Log(sum) - (float64(x) - float64(top)))
}

// Backward computes dy·(softmax(logits) - onehot(target)).
func (CrossEntropy) Backward(c *Call) {
	if dx := c.DX[0]; dx != nil {
		lossGradLoop.Run(c.X[1].Len(), rowGrain(dx.Shape.Last()),
			lossArgs{logits: c.X[0].F32, targets: c.X[1].I32, stats: c.Saved, grad: dx.F32, dy: c.DY.F32[0]})
	}
}

// lossGradLoop runs over rows; grad may be logits.
var lossGradLoop = cpu.NewLoop(func(a *lossArgs, lo, hi int) {
	v := len(a.logits) / len(a.targets)
	for r := lo; r < hi; r++ {
		g := a.grad[r*v : (r+1)*v]
		if a.targets[r] == ignored {
			clear(g)
			continue
		}
		copy(g, a.logits[r*v:])
		cpu.ExpSub(g, a.stats[2*r])
		cpu.Scale(g, a.dy*a.stats[2*r+1])
		g[a.targets[r]] -= a.dy
	}
})
