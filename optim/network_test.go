package optim

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	ref "github.com/geotune/geotune/optim/internal/reference"
)

// Law 2: a network of two layers with tanh, in float64. The gradients of the factors come from one backward pass over thin products, as the
// LoRA kernel computes them; they are those of the dense gradient, of finite differences, and what the rules make of them is its
// projection, also where the singular values of X lie far apart.
func TestThinProductsAreThoseOfTheDenseGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 30))
	n := newNetwork(rng, 1e-6)
	_, g := n.loss()
	for i := range n.b {
		ga, gb, dense := g.a[i], g.b[i], g.x[i]
		if e := ref.Relative(ga, ref.Combine(wideScale, ref.Mul(n.b[i].T(), dense), 0, ga)); e > 1e-14 {
			t.Errorf("layer %d: ∂A is off s·BᵀG by %g", i, e)
		}
		if e := ref.Relative(gb, ref.Combine(wideScale, ref.Mul(dense, n.a[i].T()), 0, gb)); e > 1e-14 {
			t.Errorf("layer %d: ∂B is off s·G·Aᵀ by %g", i, e)
		}
		for name, f := range map[string][2]*mat.Dense{"A": {n.a[i], ga}, "B": {n.b[i], gb}} {
			if e := n.differences(f[0], f[1]); e > 1e-9 {
				t.Errorf("layer %d: ∂%s is off finite differences by %g", i, name, e)
			}
		}
	}
	r := wideRules(t)["riemann-sgd, none"]
	for i := range n.b {
		p := r.start(t, n.b[i], n.a[i])
		copy(p.a, flat(p.factorA()))
		n.a[i], n.b[i] = p.factorA(), p.factorB() // the canonical gauge
		_, g := n.loss()
		copy(p.ga, flat(g.a[i]))
		copy(p.gb, flat(g.b[i]))
		x := p.load(&p.w)
		xi := p.gradient(&p.w, x)
		u, v := wholeOf(x.U), wholeOf(x.V)
		got := ref.Combine(1, ref.Mul(wholeOf(xi.A), v.T()), 1, ref.Mul(u, wholeOf(xi.B).T()))
		if e := ref.Relative(got, ref.Project(p.x(), g.x[i], p.r)); e > 1e-10 {
			t.Errorf("layer %d: the Riemannian gradient is off the projection by %g", i, e)
		}
	}
}

// Law 4 on the network: a step of length t along the Riemannian gradient changes the loss by -t·‖grad‖² up to t².
func TestTheLossOfTheNetworkFallsAsItsGradientSays(t *testing.T) {
	n := newNetwork(rand.New(rand.NewPCG(12, 30)), 0.1)
	before, g := n.loss()
	r := wideRules(t)["riemann-sgd, none"]
	r.rule.(*RiemannSGD).Momentum = 0
	b, a, x := n.b[0], n.a[0], startOf(n.b[0], n.a[0])
	grad := ref.Project(x, g.x[0], 3)
	remainder := func(rate float64) float64 {
		p := r.start(t, b, a)
		r.move(t, p, g.x[0], Hyper{LR: rate})
		n.b[0], n.a[0] = p.factorB(), p.factorA()
		after, _ := n.loss()
		return math.Abs(after - before + rate*ref.Inner(grad, grad))
	}
	if k := ref.Slope(remainder, 1e-4); math.Abs(k-2) > 0.1 {
		t.Errorf("remainder of order %g, want 2", k)
	}
}

// network is ½‖tanh(x·(W₁+X₁)ᵀ)·(W₂+X₂)ᵀ - y‖² with X = wideScale·B·A in both layers.
type network struct {
	x, y    *mat.Dense
	w, b, a [2]*mat.Dense
}

// gradients are those of the factors and of X.
type gradients struct{ a, b, x [2]*mat.Dense }

// newNetwork draws one; smallest is about the smallest singular value of its X, the largest is about 1.
func newNetwork(rng *rand.Rand, smallest float64) *network {
	const rows, in, hidden, out, rank = 9, 17, 23, 12, 3
	n := &network{x: ref.Random(rng, rows, in), y: ref.Random(rng, rows, out)}
	for i, shape := range [2][2]int{{hidden, in}, {out, hidden}} {
		n.w[i] = ref.Random(rng, shape[0], shape[1])
		n.w[i].Scale(0.2, n.w[i])
		n.b[i], n.a[i] = ref.Random(rng, shape[0], rank), ref.Random(rng, rank, shape[1])
		stretched := mat.NewDiagDense(rank, []float64{0.3, math.Sqrt(0.3 * smallest), smallest})
		n.b[i] = ref.Mul(n.b[i], stretched)
	}
	return n
}

// loss runs forward and backward; the backward pass of the adapters is over P = x·Aᵀ and D = dY·B alone.
func (n *network) loss() (float64, gradients) {
	var g gradients
	h := n.forward(n.x, 0)
	h.Apply(func(_, _ int, v float64) float64 { return math.Tanh(v) }, h)
	d := ref.Combine(1, n.forward(h, 1), -1, n.y)
	sum := ref.Inner(d, d) / 2
	dh := n.backward(&g, 1, h, d)
	dh.Apply(func(i, j int, v float64) float64 { return v * (1 - h.At(i, j)*h.At(i, j)) }, dh)
	n.backward(&g, 0, n.x, dh)
	return sum, g
}

func (n *network) forward(x *mat.Dense, i int) *mat.Dense {
	return ref.Combine(1, ref.Mul(x, n.w[i].T()), wideScale, ref.Mul(x, n.a[i].T(), n.b[i].T()))
}

func (n *network) backward(g *gradients, i int, x, dy *mat.Dense) (dx *mat.Dense) {
	p, d := ref.Mul(x, n.a[i].T()), ref.Mul(dy, n.b[i])
	g.b[i] = ref.Combine(wideScale, ref.Mul(dy.T(), p), 0, n.b[i])
	g.a[i] = ref.Combine(wideScale, ref.Mul(d.T(), x), 0, n.a[i])
	g.x[i] = ref.Mul(dy.T(), x)
	return ref.Combine(1, ref.Mul(dy, n.w[i]), wideScale, ref.Mul(d, n.a[i]))
}

// differences returns the largest distance of g from differences of the loss in the elements of f, relative to g's largest element.
func (n *network) differences(f, g *mat.Dense) float64 {
	const h = 1e-3
	rows, cols := f.Dims()
	worst, largest := 0.0, 0.0
	for i := range rows {
		for j := range cols {
			v := f.At(i, j)
			at := func(d float64) float64 {
				f.Set(i, j, v+d)
				loss, _ := n.loss()
				return loss
			}
			fourth := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
			f.Set(i, j, v)
			worst, largest = max(worst, math.Abs(fourth-g.At(i, j))), max(largest, math.Abs(g.At(i, j)))
		}
	}
	return worst / largest
}
