package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// DoRA is a linear map whose weight V = W + Scale·B·A has trained row lengths (Liu et al., "DoRA", 2024; PEFT's lora.dora):
//
//	y = c ⊙ (x·Vᵀ) + b,   c = m/‖V‖
//
// where ‖V‖ holds the norm of the weights of each output feature. The gradient takes these norms as constants (section 4.3). Where the
// adapter sees a dropped-out input xd, PEFT computes
//
//	y = x·Wᵀ + b + (c - 1) ⊙ (xd·Wᵀ) + c ⊙ Scale·(xd·Aᵀ·Bᵀ) = (x - xd)·Wᵀ + b + c ⊙ (xd·Vᵀ)
//
// Inputs, in this order, those in parentheses if announced: x[..., in]; w, (out,in) or (in,out) with InOut; (b[out]); A(r,in);
// B(out,r); m[out]; (xd, of x's shape). Output: [..., out].
type DoRA struct {
	Scale   float32
	Bias    bool // there is an input b
	InOut   bool // w is (in,out)
	Dropped bool // there is an input xd
}

// String returns "dora".
func (DoRA) String() string { return "dora" }

// Plan checks the inputs. Saved holds what doraMemory lists.
func (k DoRA) Plan(in []Spec, need []bool) (Plan, error) {
	n := numberInputs(k.Bias, true, k.Dropped, false)
	shape, rank, err := n.check("dora", "m", in, need, k.InOut)
	if err != nil {
		return Plan{}, err
	}
	rows, out := shape.Rows(), shape.Last()
	p := Plan{Out: shape, ForwardScratch: normScratch(in[1].Shape, rank, k.InOut) + vecScratch(in[n.extra])}
	if k.Bias {
		p.ForwardScratch += vecScratch(in[n.bias])
	}
	if k.Dropped {
		p.ForwardScratch += in[0].Shape.Size() // x - xd
	}
	if !anyOf(need) {
		p.ForwardScratch += 2*out + rows*rank
		if k.Dropped {
			p.ForwardScratch += rows * out
		}
		return p, nil
	}
	p.Saved = 2*out + rows*(rank+out)
	p.BackwardScratch = rows*(out+rank) + columnSumScratch(rows, out)
	p.ReadsX = n.reads(need)
	if need[1] && k.Dropped {
		p.ReadsX = append(p.ReadsX, n.xd)
	}
	return p, nil
}

// doraMemory is what Forward leaves for Backward in Saved, or keeps in its scratch when no gradient is wanted.
type doraMemory struct {
	norm, c []float32 // ‖V‖ and m/‖V‖
	h       cpu.Mat   // x'·Aᵀ
	z       cpu.Mat   // x'·Vᵀ
}

func (k DoRA) memory(c *Call, n adapterInputs, scratch *[]float32) doraMemory {
	rows, out, rank := c.X[0].Shape.Rows(), c.X[n.b].Shape[0], c.X[n.b].Shape[1]
	saved, mem := c.Saved, scratch
	if len(saved) > 0 {
		mem = &saved
	}
	m := doraMemory{norm: take(mem, out), c: take(mem, out), h: cpu.Dense(take(mem, rows*rank), rows, rank)}
	if len(c.Saved) == 0 && !k.Dropped {
		m.z = c.Y.Mat()
	} else {
		m.z = cpu.Dense(take(mem, rows*out), rows, out)
	}
	return m
}

// Forward computes y.
func (k DoRA) Forward(c *Call) {
	n := numberInputs(k.Bias, true, k.Dropped, false)
	scratch := c.Scratch
	d := k.memory(c, n, &scratch)
	weightNorms(d.norm, c.X[1], c.X[n.a], c.X[n.b], k.Scale, k.InOut, scratch)
	m, scratch := vec(c.X[n.extra], scratch)
	for o, norm := range d.norm {
		d.c[o] = m[o] / norm
	}
	x := c.X[n.xd].Mat()
	mulWeight(1, x, c.X[n.a], true, 0, d.h)
	mulWeight(1, x, c.X[1], !k.InOut, 0, d.z)
	mulWeight(k.Scale, d.h, c.X[n.b], true, 1, d.z)
	a := doraArgs{y: c.Y.F32, z: d.z.Data, c: d.c, add: k.Dropped}
	if k.Bias {
		a.b, scratch = vec(c.X[n.bias], scratch)
	}
	if k.Dropped {
		diff := cpu.Dense(take(&scratch, len(c.X[0].F32)), x.Rows, x.Cols)
		subtract(diff.Data, c.X[0].F32, x.Data)
		mulWeight(1, diff, c.X[1], !k.InOut, 0, c.Y.Mat())
	}
	doraForward.Run(d.z.Rows, rowGrain(d.z.Cols), a)
}

// doraArgs are the operands of the loops of DoRA.
type doraArgs struct {
	y, z, dy, g []float32 // rows by len(c)
	c, b, parts []float32 // b is nil where there is no bias
	add         bool      // y holds a part of the sum already
}

// doraForward computes y = c·z + b, or adds it to y, over rows.
var doraForward = cpu.NewLoop(func(a *doraArgs, lo, hi int) {
	n := len(a.c)
	for r := lo; r < hi; r++ {
		y, z := a.y[r*n:(r+1)*n], a.z[r*n:(r+1)*n]
		if a.add {
			for j, c := range a.c {
				y[j] += c * z[j]
			}
		} else {
			cpu.Mul(y, z, a.c)
		}
		if a.b != nil {
			cpu.Add(y, y, a.b)
		}
	}
})

// Backward computes, with g = c ⊙ dy and h = x'·Aᵀ: db = Σ dy and dm = Σ dy ⊙ z/‖V‖ over the rows, dB = Scale·gᵀ·h,
// dA = Scale·(g·B)ᵀ·x', dx = g·V and dW = gᵀ·x. With dropout dx = dy·W, dxd = g·V - dy·W and dW = dyᵀ·(x - xd) + gᵀ·xd.
func (k DoRA) Backward(c *Call) {
	n := numberInputs(k.Bias, true, k.Dropped, false)
	mem := c.Scratch
	d := k.memory(c, n, &mem)
	g := cpu.Dense(take(&mem, len(d.z.Data)), d.z.Rows, d.z.Cols)
	doraScale.Run(g.Rows, rowGrain(g.Cols), doraArgs{dy: c.DY.F32, g: g.Data, c: d.c})
	n.factorGrads(c, k.Scale, g, d.h.Data, &mem)
	k.weightGrads(c, n, g)
	if k.Bias && c.DX[n.bias] != nil {
		columnSum(c.DX[n.bias].F32, c.DY.F32, mem)
	}
	if dm := c.DX[n.extra]; dm != nil {
		parts := take(&mem, columnSumScratch(g.Rows, g.Cols))
		doraMagnitude.Run(chunks(g.Rows), chunkGrain(g.Cols), doraArgs{dy: c.DY.F32, z: d.z.Data, c: d.c, parts: parts})
		sumParts(dm.F32, parts, chunks(g.Rows))
		for o, norm := range d.norm {
			dm.F32[o] /= norm
		}
	}
}

// weightGrads computes what comes through W; it adds to the gradient of the adapter's input and destroys g.
func (k DoRA) weightGrads(c *Call, n adapterInputs, g cpu.Mat) {
	dx, dw, beta := c.DX[n.xd], c.DX[1], float32(0)
	if k.Dropped {
		if c.DX[0] != nil {
			mulWeight(1, c.DY.Mat(), c.X[1], k.InOut, 0, c.DX[0].Mat())
		}
		if dw != nil {
			weightGrad(1, c.DY.Mat(), c.X[0].Mat(), k.InOut, 0, dw.Mat())
			beta = 1
		}
		subtract(g.Data, g.Data, c.DY.F32)
	}
	if dx != nil {
		mulWeight(1, g, c.X[1], k.InOut, 1, dx.Mat())
	}
	if dw != nil {
		weightGrad(1, g, c.X[n.xd].Mat(), k.InOut, beta, dw.Mat())
	}
}

// doraScale computes g = c·dy over rows.
var doraScale = cpu.NewLoop(func(a *doraArgs, lo, hi int) {
	n := len(a.c)
	for r := lo; r < hi; r++ {
		cpu.Mul(a.g[r*n:(r+1)*n], a.dy[r*n:(r+1)*n], a.c)
	}
})

// doraMagnitude sums dy·z over each chunk of rows.
var doraMagnitude = cpu.NewLoop(func(a *doraArgs, lo, hi int) {
	n := len(a.c)
	for chunk := lo; chunk < hi; chunk++ {
		sum := part(a.parts, chunk, n)
		for r := chunk * rowChunk; r < min((chunk+1)*rowChunk, len(a.z)/n); r++ {
			dy, z := a.dy[r*n:(r+1)*n], a.z[r*n:(r+1)*n]
			for j := range sum {
				sum[j] += dy[j] * z[j]
			}
		}
	}
})

// subtract computes dst = x - y; dst may be x.
func subtract(dst, x, y []float32) {
	subtractLoop.Run(len(dst), elementGrain, addArgs{dst, x, y})
}

var subtractLoop = cpu.NewLoop(func(a *addArgs, lo, hi int) {
	for i := lo; i < hi; i++ {
		a.y[i] = a.a[i] - a.b[i]
	}
})
