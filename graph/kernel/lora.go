package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// LoRA is a linear map with a low-rank update (Hu et al., "LoRA", 2021; PEFT's lora.Linear):
//
//	y = x·Wᵀ + b + Scale·(x'·Aᵀ·Bᵀ + bB)
//
// where x' is x, or the input xd to which the caller has applied dropout. The update is added to y in place, so that nothing of y's
// size but y is ever written.
//
// Inputs, in this order, those in parentheses if announced: x[..., in]; w, (out,in) or (in,out) with InOut; (b[out]); A(r,in);
// B(out,r); (bB[out]); (xd, of x's shape). Output: [..., out].
type LoRA struct {
	Scale    float32
	Bias     bool // there is an input b
	InOut    bool // w is (in,out)
	LoRABias bool // there is an input bB
	Dropped  bool // there is an input xd
}

// String returns "lora".
func (LoRA) String() string { return "lora" }

// Plan checks the inputs. Saved holds x'·Aᵀ for the gradient of B.
func (k LoRA) Plan(in []Spec, need []bool) (Plan, error) {
	n := numberInputs(k.Bias, k.LoRABias, k.Dropped)
	out, rank, err := n.check("lora", "bB", in, need, k.InOut)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Out: out}
	narrow := out.Rows() * rank
	if k.Bias {
		p.ForwardScratch += vecScratch(in[n.bias])
	}
	if k.LoRABias {
		p.ForwardScratch += vecScratch(in[n.extra]) + out.Last()
	}
	if need[n.b] {
		p.Saved = narrow
	} else {
		p.ForwardScratch += narrow
	}
	if need[n.a] || need[n.xd] {
		p.BackwardScratch = narrow
	}
	if k.Bias && need[n.bias] || k.LoRABias && need[n.extra] {
		p.BackwardScratch += columnSumScratch(out.Rows(), out.Last())
	}
	p.ReadsX = n.reads(need)
	return p, nil
}

// Forward computes y.
func (k LoRA) Forward(c *Call) {
	n := numberInputs(k.Bias, k.LoRABias, k.Dropped)
	mem := c.Scratch
	beta := float32(0)
	if k.Bias || k.LoRABias {
		fillRows(c.Y.F32, k.bias(c, n, &mem))
		beta = 1
	}
	y, a, b := c.Y.Mat(), c.X[n.a], c.X[n.b]
	mulWeight(1, c.X[0].Mat(), c.X[1], !k.InOut, beta, y)
	h := c.Saved
	if len(h) == 0 {
		h = take(&mem, y.Rows*a.Shape[0])
	}
	narrow := cpu.Dense(h, y.Rows, a.Shape[0])
	mulWeight(1, c.X[n.xd].Mat(), a, true, 0, narrow)
	mulWeight(k.Scale, narrow, b, true, 1, y)
}

// bias returns b + Scale·bB.
func (k LoRA) bias(c *Call, n adapterInputs, mem *[]float32) (b []float32) {
	if k.Bias {
		b, *mem = vec(c.X[n.bias], *mem)
	}
	if !k.LoRABias {
		return b
	}
	var extra []float32
	extra, *mem = vec(c.X[n.extra], *mem)
	sum := take(mem, len(extra))
	clear(sum)
	copy(sum, b)
	cpu.Axpy(k.Scale, extra, sum)
	return sum
}

// Backward computes, with h = x'·Aᵀ and t = dy·B: dx = dy·W, dx' = Scale·t·A, dW = dyᵀ·x, dB = Scale·dyᵀ·h, dA = Scale·tᵀ·x' and the
// sums of dy over the rows for the biases. Where x' is x, both of its gradients add up.
func (k LoRA) Backward(c *Call) {
	n := numberInputs(k.Bias, k.LoRABias, k.Dropped)
	mem := c.Scratch
	n.factorGrads(c, k.Scale, c.DY.Mat(), c.Saved, &mem)
	if dx := c.DX[0]; dx != nil {
		beta := float32(1)
		if k.Dropped {
			beta = 0
		}
		mulWeight(1, c.DY.Mat(), c.X[1], k.InOut, beta, dx.Mat())
	}
	if dw := c.DX[1]; dw != nil {
		weightGrad(1, c.DY.Mat(), c.X[0].Mat(), k.InOut, 0, dw)
	}
	k.biasGrads(c, n, mem)
}

// biasGrads computes db = Σ dy and dbB = Scale·Σ dy over the rows.
func (k LoRA) biasGrads(c *Call, n adapterInputs, scratch []float32) {
	var db, dbB []float32
	if k.Bias && c.DX[n.bias] != nil {
		db = c.DX[n.bias].F32
	}
	if k.LoRABias && c.DX[n.extra] != nil {
		dbB = c.DX[n.extra].F32
	}
	switch {
	case db != nil:
		columnSum(db, c.DY.F32, scratch)
		copy(dbB, db)
	case dbB != nil:
		columnSum(dbB, c.DY.F32, scratch)
	}
	cpu.Scale(dbB, k.Scale)
}
