package optimtest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// problem is something to minimise.
type problem interface {
	points() []optim.Point
	// loss returns the loss and leaves its gradient in the points.
	loss() float64
}

// quadratic is ½·Σ h·(x - target)² over the elements of plain tensors, with curvatures h from 0.1 to 1.
type quadratic struct {
	pts               []optim.Point
	target, curvature [][]float32
}

// newQuadratic returns a problem with one point a size, called x0, x1 and so on.
func newQuadratic(seed uint64, sizes ...int) *quadratic {
	rng := rand.New(rand.NewPCG(seed, 1))
	q := &quadratic{}
	for i, n := range sizes {
		q.pts = append(q.pts, optim.NewEuclidean(newTensor("x"+string(rune('0'+i)), normal(rng, n), n)))
		q.target = append(q.target, normal(rng, n))
		h := make([]float32, n)
		for j := range h {
			h[j] = 0.1 + 0.9*rng.Float32()
		}
		q.curvature = append(q.curvature, h)
	}
	return q
}

func (q *quadratic) points() []optim.Point { return q.pts }

func (q *quadratic) loss() float64 {
	var sum float64
	for i, p := range q.pts {
		t := p.Tensors()[0]
		for j, x := range t.Value.F32 {
			d, h := x-q.target[i][j], q.curvature[i][j]
			sum += 0.5 * float64(h) * float64(d) * float64(d)
			if t.Grad != nil {
				t.Grad.F32[j] = h * d
			}
		}
	}
	return sum
}

// The shape of the low-rank problem: X is out×in of rank r.
const out, in, r = 12, 10, 3

// adapterScale is the adapter's scaling in the low-rank problem; any number but 1.
const adapterScale = 0.5

// lowRank is ½·‖scale·B·A - target‖² for a target of rank r with singular values around 1. Its arithmetic is float64.
type lowRank struct {
	p      *optim.LowRank
	target matrix
	// factor multiplies the loss.
	factor float64
}

func newLowRank(t testing.TB, seed uint64) *lowRank {
	rng := rand.New(rand.NewPCG(seed, 2))
	a := newTensor("layer.lora_A.weight", normal(rng, r*in), r, in)
	b := newTensor("layer.lora_B.weight", normal(rng, out*r), out, r)
	scaleBy(a.Value.F32, 0.5)
	scaleBy(b.Value.F32, 0.5)
	p, err := optim.NewLowRank("layer", a, b, adapterScale)
	if err != nil {
		t.Fatal(err)
	}
	u, v := orthonormal(rng, out, r), orthonormal(rng, in, r)
	return &lowRank{p: p, target: u.mul(diagonal(1.5, 1, 0.7)).mul(v.transpose()), factor: 1}
}

func (l *lowRank) points() []optim.Point { return []optim.Point{l.p} }

// x returns the matrix the point stands for.
func (l *lowRank) x() matrix {
	return fromTensor(l.p.B().Value).mul(fromTensor(l.p.A().Value)).scaled(float64(l.p.Scale))
}

func (l *lowRank) loss() float64 {
	g := l.x().minus(l.target)
	sum := 0.5 * l.factor * g.squaredNorm()
	g = g.scaled(l.factor * float64(l.p.Scale))
	fromTensor(l.p.B().Value).transpose().mul(g).store(l.p.A().Grad)
	g.mul(fromTensor(l.p.A().Value).transpose()).store(l.p.B().Grad)
	return sum
}

// rebase replaces the factors by (B·Q, Q⁻¹·A).
func (l *lowRank) rebase(q, inverse matrix) {
	fromTensor(l.p.B().Value).mul(q).store(l.p.B().Value)
	inverse.mul(fromTensor(l.p.A().Value)).store(l.p.A().Value)
}

// newTensor returns a trainable tensor over data.
func newTensor(name string, data []float32, shape ...int) optim.Tensor {
	return optim.Tensor{Name: name, Value: kernel.FromF32(data, shape...), Grad: kernel.New(shape...)}
}

func normal(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func scaleBy(x []float32, c float32) {
	for i := range x {
		x[i] *= c
	}
}

// run trains for steps first..last-1 with learning rate lr(step), steps counted from 0, and returns the last loss before a step.
func run(t testing.TB, o *optim.Optimizer, p problem, first, last int, lr func(step int) float64) float64 {
	t.Helper()
	var loss float64
	for k := first; k < last; k++ {
		loss = p.loss()
		mustStep(t, o, lr(k))
	}
	return loss
}

func mustStep(t testing.TB, o *optim.Optimizer, lr float64) optim.Stats {
	t.Helper()
	stats, err := o.Step(lr)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func newOptimizer(t testing.TB, rule optim.Rule, points []optim.Point, decay float64) *optim.Optimizer {
	t.Helper()
	o, err := optim.New(rule, points, optim.Config{WeightDecay: decay})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// constant is a learning rate that does not change.
func constant(lr float64) func(int) float64 { return func(int) float64 { return lr } }

// values copies the values of all tensors of points, gradients the gradients.
func values(points []optim.Point) [][]float32 {
	return copies(points, func(t optim.Tensor) *kernel.Tensor { return t.Value })
}

func gradients(points []optim.Point) [][]float32 {
	return copies(points, func(t optim.Tensor) *kernel.Tensor { return t.Grad })
}

func copies(points []optim.Point, of func(optim.Tensor) *kernel.Tensor) [][]float32 {
	var all [][]float32
	for _, p := range points {
		for _, t := range p.Tensors() {
			all = append(all, slices.Clone(of(t).F32))
		}
	}
	return all
}
