package graph

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
)

// The toy kernels below exercise every promise a Plan can make; their arithmetic is short enough to check by eye.

// matmul is y = x·W for x (n,k) and W (k,m).
type matmul struct{}

func (matmul) String() string { return "matmul" }

func (matmul) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	x, w := in[0].Shape, in[1].Shape
	if len(x) != 2 || len(w) != 2 || x[1] != w[0] {
		return kernel.Plan{}, errors.New("shapes do not match")
	}
	return kernel.Plan{Out: kernel.Shape{x[0], w[1]}, ReadsX: []int{0, 1}}, nil
}

func (matmul) Forward(c *kernel.Call) {
	n, k, m := c.X[0].Shape[0], c.X[0].Shape[1], c.X[1].Shape[1]
	for i := range n {
		for j := range m {
			var sum float32
			for l := range k {
				sum += c.X[0].F32[i*k+l] * c.X[1].F32[l*m+j]
			}
			c.Y.F32[i*m+j] = sum
		}
	}
}

func (matmul) Backward(c *kernel.Call) {
	n, k, m := c.X[0].Shape[0], c.X[0].Shape[1], c.X[1].Shape[1]
	if dx := c.DX[0]; dx != nil {
		clear(dx.F32)
		for i := range n {
			for j := range m {
				for l := range k {
					dx.F32[i*k+l] += c.DY.F32[i*m+j] * c.X[1].F32[l*m+j]
				}
			}
		}
	}
	if dw := c.DX[1]; dw != nil {
		clear(dw.F32)
		for i := range n {
			for j := range m {
				for l := range k {
					dw.F32[l*m+j] += c.DY.F32[i*m+j] * c.X[0].F32[i*k+l]
				}
			}
		}
	}
}

// tanh works in place in both directions and reads only its output backward.
type tanh struct{}

func (tanh) String() string { return "tanh" }

func (tanh) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	return kernel.Plan{Out: in[0].Shape, ReadsY: true, YOverX: []int{0}, DXOverDY: []int{0}}, nil
}

func (tanh) Forward(c *kernel.Call) {
	for i, v := range c.X[0].F32 {
		c.Y.F32[i] = float32(math.Tanh(float64(v)))
	}
}

func (tanh) Backward(c *kernel.Call) {
	for i, y := range c.Y.F32 {
		c.DX[0].F32[i] = c.DY.F32[i] * (1 - y*y)
	}
}

// halfSquares is y[0] = Σ x²/2, with x kept in Saved so that its own memory is free.
type halfSquares struct{}

func (halfSquares) String() string { return "half_squares" }

func (halfSquares) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	return kernel.Plan{Out: kernel.Shape{1}, Saved: in[0].Shape.Size(), ForwardScratch: 3, BackwardScratch: 5}, nil
}

func (halfSquares) Forward(c *kernel.Call) {
	copy(c.Saved, c.X[0].F32)
	var sum float32
	for _, v := range c.Saved {
		sum += v * v / 2
	}
	c.Y.F32[0] = sum
	poison(c.Scratch)
}

func (halfSquares) Backward(c *kernel.Call) {
	poison(c.Scratch)
	for i, v := range c.Saved {
		c.DX[0].F32[i] = v * c.DY.F32[0]
	}
}

// faulty panics in the pass it is told to.
type faulty struct{ backward bool }

func (faulty) String() string { return "faulty" }

func (faulty) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	return kernel.Plan{Out: in[0].Shape}, nil
}

func (f faulty) Forward(c *kernel.Call) {
	if !f.backward {
		panic("index out of range")
	}
	copy(c.Y.F32, c.X[0].F32)
}

func (f faulty) Backward(*kernel.Call) { panic("index out of range") }

func poison(x []float32) {
	for i := range x {
		x[i] = float32(math.NaN())
	}
}

// mlp is a chain of residual blocks h + tanh(h·W1)·W2 over x·W0, ending in half_squares. The even layers are frozen.
type mlp struct {
	width  int
	layers [][2]*Param
	entry  *Param
}

func newMLP(depth, width int) *mlp {
	rng := rand.New(rand.NewPCG(1, 2))
	param := func(name string, trainable bool) *Param {
		p := NewParam(name, width, width)
		for i := range p.Value.F32 {
			p.Value.F32[i] = float32(rng.NormFloat64()) / float32(math.Sqrt(float64(width)))
		}
		p.Trainable = trainable
		return p
	}
	m := &mlp{width: width, entry: param("entry.weight", true)}
	for i := range depth {
		name := "layers." + string(rune('a'+i))
		m.layers = append(m.layers, [2]*Param{param(name+".up.weight", true), param(name+".down.weight", i%2 == 1)})
	}
	return m
}

// trainables lists the parameters with a gradient, in order of use.
func (m *mlp) trainables() []*Param {
	out := []*Param{m.entry}
	for _, l := range m.layers {
		for _, p := range l {
			if p.Trainable {
				out = append(out, p)
			}
		}
	}
	return out
}

// build adds the network to g; with checkpoint, each residual block is recomputed in the backward pass.
func (m *mlp) build(g *Graph, x *Node, checkpoint bool) *Node {
	h := g.Apply(matmul{}, x, g.Param(m.entry))
	for _, l := range m.layers {
		block := func(g *Graph, x []*Node) *Node {
			up := g.Apply(tanh{}, g.Apply(matmul{}, x[0], g.Param(l[0])))
			return g.Apply(kernel.Add{}, x[0], g.Apply(matmul{}, up, g.Param(l[1])))
		}
		if checkpoint {
			h = g.Checkpoint(block, h)
		} else {
			h = block(g, []*Node{h})
		}
	}
	return g.Apply(halfSquares{}, h)
}

// differentiate builds the network with its loss and the gradients of all trainables.
func (m *mlp) differentiate(t testing.TB, ws *Workspace, rows int, checkpoint bool) (g *Graph, loss *Node, grads []*Node) {
	t.Helper()
	g = ws.NewGraph()
	x, data := g.Input("x", kernel.F32, rows, m.width)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range data.F32 {
		data.F32[i] = float32(rng.NormFloat64())
	}
	seed, one := g.Input("seed", kernel.F32, 1)
	one.F32[0] = 1
	loss = m.build(g, x, checkpoint)
	var wrt []*Node
	for _, p := range m.trainables() {
		wrt = append(wrt, g.Param(p))
	}
	grads = g.Gradients(loss, seed, wrt...)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	return g, loss, grads
}

// run compiles the loss and the gradients, runs once and returns copies: the loss first.
func (m *mlp) run(t testing.TB, ws *Workspace, rows int, checkpoint bool) [][]float32 {
	t.Helper()
	g, loss, grads := m.differentiate(t, ws, rows, checkpoint)
	machine := compile(t, g, append([]*Node{loss}, grads...)...)
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for i := range len(grads) + 1 {
		out = append(out, append([]float32{}, machine.Output(i).F32...))
	}
	return out
}

func compile(t testing.TB, g *Graph, nodes ...*Node) *Machine {
	t.Helper()
	outputs := make([]Output, len(nodes))
	for i, n := range nodes {
		outputs[i].Node = n
	}
	m, err := g.Compile(outputs...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
