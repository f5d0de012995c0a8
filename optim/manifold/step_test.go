package manifold_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel/dense"
	ref "github.com/geotune/geotune/optim/internal/reference"
	. "github.com/geotune/geotune/optim/manifold"
)

// run is a few steps of an optimizer with momentum on a loss that is not quadratic, with everything that rules do.
type run struct {
	gradient           func(x *mat.Dense) *mat.Dense
	beta, mix          float64 // momentum ← beta·momentum + mix·gradient
	rate, decay        float64
	projections, steps int
	nesterov           bool
}

var (
	riemannion = run{beta: 0.9, mix: 1, rate: 0.05, decay: 0.1, projections: 1, steps: 8}
	sgd        = run{beta: 0.9, mix: 0.1, rate: 0.3, decay: 0.1, steps: 8}
)

func (r run) named() map[string]run {
	nesterov, tau := riemannion, riemannion
	nesterov.nesterov, tau.projections = true, 3
	all := map[string]run{"riemannion": riemannion, "nesterov": nesterov, "three projections": tau, "sgd": sgd}
	for name, v := range all {
		v.gradient = r.gradient
		all[name] = v
	}
	return all
}

// toward is the gradient of ½‖X - target‖² + a soft penalty, times factor.
func toward(target *mat.Dense, factor float64) func(*mat.Dense) *mat.Dense {
	return func(x *mat.Dense) *mat.Dense {
		e := ref.Combine(1, x, -1, target)
		var soft mat.Dense
		soft.Apply(func(_, _ int, v float64) float64 { return math.Tanh(v) }, e)
		return ref.Combine(factor, e, 0.1*factor, &soft)
	}
}

// from runs the package's step from the factors p·qᵀ and returns where X ends.
func (r run) from(p, q *mat.Dense) *mat.Dense {
	x, w := point(p, q), new(workspace)
	m, n, rank := x.U.Rows, x.V.Rows, x.Rank()
	momentum := NewTangent(new(workspace), m, n, rank)
	for range r.steps {
		xi := tangent(x, r.gradient(matrix(x)))
		mix(momentum, r.beta, xi, r.mix)
		s := Step{Rate: r.rate, Keep: 1 - r.rate*r.decay, Projections: r.projections}
		if r.nesterov {
			mix(xi, 1, momentum, r.beta)
			Advance(w, x, momentum, &xi, s)
		} else {
			Advance(w, x, momentum, nil, s)
		}
	}
	return matrix(x)
}

// mix replaces a by alpha·a + beta·b.
func mix(a Tangent[float64], alpha float64, b Tangent[float64], beta float64) {
	for i, v := range b.A.Data[:a.A.Rows*a.A.Cols] {
		a.A.Data[i] = alpha*a.A.Data[i] + beta*v
	}
	for i, v := range b.B.Data[:a.B.Rows*a.B.Cols] {
		a.B.Data[i] = alpha*a.B.Data[i] + beta*v
	}
}

// whole runs the naive algorithm on m×n matrices.
func (r run) whole(x *mat.Dense, rank int) *mat.Dense {
	m, n := x.Dims()
	momentum := mat.NewDense(m, n, nil)
	for range r.steps {
		g := ref.Project(x, r.gradient(x), rank)
		momentum = ref.Combine(r.beta, ref.Project(x, momentum, rank), r.mix, g)
		d := momentum
		if r.nesterov {
			d = ref.Combine(r.beta, momentum, 1, g)
		}
		for range r.projections {
			d = ref.Project(x, ref.Sign(d), rank)
		}
		x = ref.Truncated(ref.Combine(1-r.rate*r.decay, x, -r.rate, d), rank)
	}
	return x
}

// problem returns factors of a start of rank 3 and a run toward a target of rank 5.
func problem(seed uint64) (p, q *mat.Dense, r run) {
	rng := rand.New(rand.NewPCG(seed, 20))
	p, q = ref.Random(rng, 23, 3), ref.Random(rng, 17, 3)
	p.Scale(0.4, p)
	q.Scale(0.4, q)
	target := ref.Mul(ref.Random(rng, 23, 5), ref.Random(rng, 5, 17))
	return p, q, run{gradient: toward(target, 1)}
}

// lawTolerance is the largest relative distance between paths of eight steps that count as the same.
const lawTolerance = 1e-12

func TestStepsAreThoseOfTheNaiveAlgorithm(t *testing.T) {
	p, q, r := problem(1)
	for name, v := range r.named() {
		if e := ref.Relative(v.from(p, q), v.whole(ref.Mul(p, q.T()), 3)); e > lawTolerance {
			t.Errorf("%s: ends %g away", name, e)
		}
	}
}

// (P·S, Q·S⁻ᵀ) is the same matrix as (P, Q); here S has condition number 15 and there is momentum and decay.
func TestPathDoesNotDependOnTheFactors(t *testing.T) {
	p, q, r := problem(2)
	s := ref.Mul(ref.Random(rand.New(rand.NewPCG(2, 21)), 3, 3), mat.NewDiagDense(3, []float64{3, 1, 0.2}))
	var inverse mat.Dense
	if err := inverse.Inverse(s); err != nil {
		t.Fatal(err)
	}
	for name, v := range r.named() {
		if e := ref.Relative(v.from(ref.Mul(p, s), ref.Mul(q, inverse.T())), v.from(p, q)); e > lawTolerance {
			t.Errorf("%s: ends %g away", name, e)
		}
	}
}

func TestSignedPathDoesNotDependOnTheScaleOfTheLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 20))
	p, q, _ := problem(3)
	target := ref.Random(rng, 23, 17)
	small, large := riemannion, riemannion
	small.gradient, large.gradient = toward(target, 1e-4), toward(target, 1)
	if e := ref.Relative(small.from(p, q), large.from(p, q)); e > lawTolerance {
		t.Errorf("ends %g away", e)
	}
}

func TestPathOfTheTransposeIsTheTranspose(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 20))
	p, q, r := problem(4)
	target := ref.Random(rng, 23, 17)
	for name, v := range r.named() {
		straight, flipped := v, v
		straight.gradient, flipped.gradient = toward(target, 1), toward(mat.DenseCopyOf(target.T()), 1)
		if e := ref.Relative(mat.DenseCopyOf(flipped.from(q, p).T()), straight.from(p, q)); e > lawTolerance {
			t.Errorf("%s: ends %g away", name, e)
		}
	}
}

func TestPathRotatesWithTheProblem(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 20))
	p, q, r := problem(5)
	target := ref.Random(rng, 23, 17)
	left, _, _ := ref.SVD(ref.Random(rng, 23, 23))
	right, _, _ := ref.SVD(ref.Random(rng, 17, 17))
	quadratic := func(target *mat.Dense) func(*mat.Dense) *mat.Dense {
		return func(x *mat.Dense) *mat.Dense { return ref.Combine(1, x, -1, target) }
	}
	for name, v := range r.named() {
		straight, turned := v, v
		straight.gradient, turned.gradient = quadratic(target), quadratic(ref.Mul(left, target, right.T()))
		if e := ref.Relative(turned.from(ref.Mul(left, p), ref.Mul(right, q)), ref.Mul(left, straight.from(p, q), right.T())); e > lawTolerance {
			t.Errorf("%s: ends %g away", name, e)
		}
	}
}

func TestDecayWithoutGradientShrinksSingularValuesAlone(t *testing.T) {
	p, q, r := problem(6)
	for name, v := range r.named() {
		v.gradient = func(x *mat.Dense) *mat.Dense { m, n := x.Dims(); return mat.NewDense(m, n, nil) }
		x := matrix(point(p, q))
		want := ref.Combine(math.Pow(1-v.rate*v.decay, float64(v.steps)), x, 0, x)
		if e := ref.Relative(v.from(p, q), want); e > 1e-14 {
			t.Errorf("%s: off by %g", name, e)
		}
	}
}

// Edge cases end finite and where the naive algorithm does.
func TestStepsFromEdgesOfTheManifold(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 20))
	for _, s := range shapes {
		m, n, rank := s[0], s[1], s[2]
		p, q := ref.Random(rng, m, rank), ref.Random(rng, n, rank)
		thin := mat.DenseCopyOf(p)
		for i := range m {
			thin.Set(i, rank-1, 1e-12*p.At(i, rank-1)) // σ_r near 1e-12
		}
		low := ref.Mul(ref.Random(rng, m, 1), ref.Random(rng, 1, n))
		for name, c := range map[string]struct {
			p        *mat.Dense
			gradient func(*mat.Dense) *mat.Dense
			compare  bool
		}{
			"full":           {p, toward(ref.Random(rng, m, n), 1), true},
			"thin":           {thin, toward(ref.Random(rng, m, n), 1), false},
			"zero":           {mat.NewDense(m, rank, nil), toward(ref.Random(rng, m, n), 1), false},
			"rank 1":         {p, func(*mat.Dense) *mat.Dense { return low }, false},
			"at the optimum": {p, toward(ref.Mul(p, q.T()), 1), false},
		} {
			for kind, r := range (run{gradient: c.gradient}).named() {
				end := r.from(c.p, q)
				if v := mat.Norm(end, 2); math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%v: %s, %s: ends at %v", s, kind, name, v)
				}
				if !c.compare {
					continue
				}
				if e := ref.Relative(end, r.whole(ref.Mul(c.p, q.T()), rank)); e > 1e-9 {
					t.Errorf("%v: %s, %s: ends %g away from the naive algorithm", s, kind, name, e)
				}
			}
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 20))
	w, own := new(dense.Workspace[float32]), new(dense.Workspace[float32])
	x, m := NewPoint(own, 64, 48, 4), NewTangent(own, 64, 48, 4)
	fill := func(d dense.Mat[float32]) {
		for i := range d.Data {
			d.Data[i] = float32(rng.NormFloat64())
		}
	}
	fill(m.A)
	fill(m.B)
	FromFactors(w, m.A, m.B, x, 1e-6, rng.NormFloat64)
	dense.RemoveSpan(w, x.U, m.A)
	step := func() {
		Advance(w, x, m, nil, Step{Rate: 1e-3, Keep: 1, Projections: 2})
		Advance(w, x, m, &m, Step{Rate: 1e-3, Keep: 1, DivideA: 2, DivideB: 2})
		w.Release(dense.Mark{})
	}
	step()
	if n := testing.AllocsPerRun(10, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
