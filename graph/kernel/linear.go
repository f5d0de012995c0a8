package kernel

// Linear is the map y = x·Wᵀ + b over the last axis.
//
// Inputs: x[..., in]; w, (out,in) as torch.nn.Linear stores it, or (in,out) as GPT-2's Conv1D does; and b[out] if there is a bias.
// Output: [..., out]. The work is one product of 2·rows·in·out operations forward and one for each of the gradients of x and w.
type Linear struct {
	Bias  bool // there is an input b
	InOut bool // w is (in,out)
}

// String returns "linear".
func (Linear) String() string { return "linear" }

// Plan checks the inputs x, w and b.
func (k Linear) Plan(in []Spec, need []bool) (Plan, error) {
	want := []operand{{"x", activation}, {"w", stored}}
	if k.Bias {
		want = append(want, operand{"b", stored})
	}
	if err := checkOperands("linear", in, need, want...); err != nil {
		return Plan{}, err
	}
	x := in[0].Shape
	_, out, err := linearShape("linear", x, in[1].Shape, k.InOut)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Out: x.withLast(out)}
	if need[1] {
		p.ReadsX = append(p.ReadsX, 0)
	}
	if need[0] {
		p.ReadsX = append(p.ReadsX, 1)
	}
	if k.Bias {
		if err := checkShape("linear", "b", in[2].Shape, out); err != nil {
			return Plan{}, err
		}
		p.ForwardScratch = vecScratch(in[2])
		if need[2] {
			p.BackwardScratch = columnSumScratch(x.Rows(), out)
		}
	}
	return p, nil
}

// Forward computes y.
func (k Linear) Forward(c *Call) {
	var b []float32
	if k.Bias {
		b, _ = vec(c.X[2], c.Scratch)
	}
	mulWeightBias(c.X[0].Mat(), c.X[1], !k.InOut, b, c.Y.Mat())
}

// Backward computes dx = dy·W, dW = dyᵀ·x and db = Σ dy over the rows.
func (k Linear) Backward(c *Call) {
	if dx := c.DX[0]; dx != nil {
		mulWeight(1, c.DY.Mat(), c.X[1], k.InOut, 0, dx.Mat())
	}
	if dw := c.DX[1]; dw != nil {
		weightGrad(1, c.DY.Mat(), c.X[0].Mat(), k.InOut, 0, dw.Mat())
	}
	if k.Bias && c.DX[2] != nil {
		columnSum(c.DX[2].F32, c.DY.F32, c.Scratch)
	}
}
