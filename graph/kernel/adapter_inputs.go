package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// adapterInputs numbers the inputs of a linear map with a low-rank update; x and w are 0 and 1.
type adapterInputs struct {
	bias  int // 0 if there is none
	a, b  int
	extra int // what the kind of adapter has besides A and B; 0 if there is none
	xd    int // x itself, 0, where the adapter sees no other input
	// a0 and b0 are the constant factors that are carried along; 0 if there are none
	a0, b0 int
	count  int
}

// numberInputs numbers the inputs in the order x, w, (b), A, B, (extra), (xd), (A0, B0).
func numberInputs(bias, extra, dropped, carried bool) adapterInputs {
	n := adapterInputs{count: 2}
	next := func(present bool) int {
		if !present {
			return 0
		}
		n.count++
		return n.count - 1
	}
	n.bias, n.a, n.b, n.extra, n.xd = next(bias), next(true), next(true), next(extra), next(dropped)
	n.a0, n.b0 = next(carried), next(carried)
	return n
}

// check checks the inputs of the kernel called name and returns the shape of the output and the rank.
func (n adapterInputs) check(name, extra string, in []Spec, need []bool, inOut bool) (out Shape, rank int, err error) {
	want := make([]operand, n.count)
	// Absent inputs share number 0 with x, which is therefore filled in last.
	want[n.bias], want[n.extra], want[n.xd] = operand{"b", stored}, operand{extra, stored}, operand{"xd", activation}
	want[n.a0], want[n.b0] = operand{"A0", stored}, operand{"B0", stored}
	want[0], want[1], want[n.a], want[n.b] = operand{"x", activation}, operand{"w", stored}, operand{"A", stored}, operand{"B", stored}
	if err := checkOperands(name, in, need, want...); err != nil {
		return nil, 0, err
	}
	x := in[0].Shape
	width, size, err := linearShape(name, x, in[1].Shape, inOut)
	if err != nil {
		return nil, 0, err
	}
	rank = rankOf(in[n.a])
	carried := rankOf(in[n.a0])
	shapes := make([]Shape, n.count)
	shapes[n.bias], shapes[n.extra], shapes[n.xd] = Shape{size}, Shape{size}, x
	shapes[n.a0], shapes[n.b0] = Shape{carried, width}, Shape{size, carried}
	shapes[0], shapes[1], shapes[n.a], shapes[n.b] = x, in[1].Shape, Shape{rank, width}, Shape{size, rank}
	for i, s := range shapes {
		if err := checkShape(name, want[i].name, in[i].Shape, s...); err != nil {
			return nil, 0, err
		}
	}
	return x.withLast(size), rank, nil
}

// rankOf returns the rank of a factor A, 1 where it is no matrix.
func rankOf(a Spec) int {
	if len(a.Shape) != 2 {
		return 1
	}
	return a.Shape[0]
}

// reads lists what the gradients of the products are made from.
func (n adapterInputs) reads(need []bool) []int {
	used := make([]bool, n.count)
	used[0] = need[1]
	used[1] = need[0] || need[n.xd]
	used[n.xd] = used[n.xd] || need[n.a]
	used[n.a] = need[n.xd]
	used[n.b] = need[n.xd] || need[n.a]
	var list []int
	for i, u := range used {
		if u {
			list = append(list, i)
		}
	}
	return list
}

// factorGrads computes the gradients of A and B, and that of the adapter's input so far as it comes from them. g is the gradient of
// the product with B; h is the adapter's input times Aᵀ.
func (n adapterInputs) factorGrads(c *Call, scale float32, g cpu.Mat, h []float32, mem *[]float32) {
	a, b := c.X[n.a], c.X[n.b]
	rank := b.Shape[1]
	if db := c.DX[n.b]; db != nil {
		cpu.Gemm(scale, g.T(), cpu.Dense(h, g.Rows, rank), 0, db.Mat())
	}
	da, dx := c.DX[n.a], c.DX[n.xd]
	if da == nil && dx == nil {
		return
	}
	t := cpu.Dense(take(mem, g.Rows*rank), g.Rows, rank)
	mulWeight(1, g, b, false, 0, t)
	if da != nil {
		cpu.Gemm(scale, t.T(), c.X[n.xd].Mat(), 0, da.Mat())
	}
	if dx != nil {
		mulWeight(scale, t, a, false, 0, dx.Mat())
	}
}
