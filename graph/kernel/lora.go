package kernel

import (
	"errors"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// LoRA is a linear map with a low-rank update (Hu et al., "LoRA", 2021; PEFT's lora.Linear):
//
//	y = x·Wᵀ + b + Scale·(x'·Aᵀ·Bᵀ + bB)
//
// where x' is x, or the input xd to which the caller has applied dropout. The update is added to y in place, so that nothing of y's
// size but y is ever written.
//
// An adapter that starts at an update B0·A0 other than 0 carries it along as a constant, and y loses Scale·(x·A0ᵀ·B0ᵀ): the linear map
// is the frozen one at the start, exactly, whatever type w is stored in.
//
// Inputs, in this order, those in parentheses if announced: x[..., in]; w, (out,in) or (in,out) with InOut; (b[out]); A(r,in);
// B(out,r); (bB[out]); (xd, of x's shape); (A0(r0,in); B0(out,r0)). Output: [..., out]. A0 and B0 have no gradients.
type LoRA struct {
	Scale    float32
	Bias     bool // there is an input b
	InOut    bool // w is (in,out)
	LoRABias bool // there is an input bB
	Dropped  bool // there is an input xd
	Carried  bool // there are inputs A0 and B0
}

// String returns "lora".
func (LoRA) String() string { return "lora" }

// Plan checks the inputs. Saved holds x'·Aᵀ for the gradient of B.
func (k LoRA) Plan(in []Spec, need []bool) (Plan, error) {
	n := k.inputs()
	out, rank, err := n.check("lora", "bB", in, need, k.InOut)
	if err != nil {
		return Plan{}, err
	}
	if k.Carried && (need[n.a0] || need[n.b0]) {
		return Plan{}, errors.New("lora: gradient wanted for A0 or B0, which are constants")
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
	if k.Carried {
		carried := out.Rows() * rankOf(in[n.a0])
		p.ForwardScratch += carried
		if need[0] {
			p.BackwardScratch = max(p.BackwardScratch, carried)
			p.ReadsX = append(p.ReadsX, n.a0, n.b0)
		}
	}
	return p, nil
}

// inputs numbers the kernel's inputs.
func (k LoRA) inputs() adapterInputs { return numberInputs(k.Bias, k.LoRABias, k.Dropped, k.Carried) }

// Forward computes y.
func (k LoRA) Forward(c *Call) {
	n := k.inputs()
	mem := c.Scratch
	y, a, b := c.Y.Mat(), c.X[n.a], c.X[n.b]
	mulWeightBias(c.X[0].Mat(), c.X[1], !k.InOut, k.bias(c, n, &mem), y)
	h := c.Saved
	if len(h) == 0 {
		h = take(&mem, y.Rows*a.Shape[0])
	}
	narrow := cpu.Dense(h, y.Rows, a.Shape[0])
	mulWeight(1, c.X[n.xd].Mat(), a, true, 0, narrow)
	mulWeight(k.Scale, narrow, b, true, 1, y)
	if k.Carried {
		addProducts(-k.Scale, c.X[0].Mat(), c.X[n.a0], c.X[n.b0], true, y, mem)
	}
}

// addProducts computes y += alpha·(x·first)·second, with the transposes of both matrices if transpose is set. The product with the
// first one is narrow; it lives in mem.
func addProducts(alpha float32, x cpu.Mat, first, second *Tensor, transpose bool, y cpu.Mat, mem []float32) {
	rank := first.Shape[1]
	if transpose {
		rank = first.Shape[0]
	}
	narrow := cpu.Dense(take(&mem, x.Rows*rank), x.Rows, rank)
	mulWeight(1, x, first, transpose, 0, narrow)
	mulWeight(alpha, narrow, second, transpose, 1, y)
}

// bias returns b + Scale·bB, nil if there is neither.
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

// Backward computes, with h = x'·Aᵀ and t = dy·B: dx = dy·W - Scale·dy·B0·A0, dx' = Scale·t·A, dW = dyᵀ·x, dB = Scale·dyᵀ·h, dA = Scale·tᵀ·x' and the
// sums of dy over the rows for the biases. Where x' is x, both of its gradients add up.
func (k LoRA) Backward(c *Call) {
	n := k.inputs()
	mem := c.Scratch
	n.factorGrads(c, k.Scale, c.DY.Mat(), c.Saved, &mem)
	if dx := c.DX[0]; dx != nil {
		beta := float32(1)
		if k.Dropped {
			beta = 0
		}
		mulWeight(1, c.DY.Mat(), c.X[1], k.InOut, beta, dx.Mat())
		if k.Carried {
			addProducts(-k.Scale, c.DY.Mat(), c.X[n.b0], c.X[n.a0], false, dx.Mat(), c.Scratch)
		}
	}
	if dw := c.DX[1]; dw != nil {
		weightGrad(1, c.DY.Mat(), c.X[0].Mat(), k.InOut, 0, dw.Mat())
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
