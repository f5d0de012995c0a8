package optim

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	ref "github.com/geotune/geotune/optim/internal/reference"
)

// StelLA and Stiefel-LoRA against their formulas in float64 on plain matrices, with the decomposition of the start by gonum, whose signs
// are others: what counts is X.

// adam is Adam on a matrix, its directions for learning rate 1.
type adam struct {
	m, v *mat.Dense
	t    float64
}

func (a *adam) direction(betas [2]float64, eps float64, g *mat.Dense) *mat.Dense {
	rows, cols := g.Dims()
	if a.m == nil {
		a.m, a.v = mat.NewDense(rows, cols, nil), mat.NewDense(rows, cols, nil)
	}
	a.t++
	d := mat.NewDense(rows, cols, nil)
	d.Apply(func(i, j int, g float64) float64 {
		m := betas[0]*a.m.At(i, j) + (1-betas[0])*g
		v := betas[1]*a.v.At(i, j) + (1-betas[1])*g*g
		a.m.Set(i, j, m)
		a.v.Set(i, j, v)
		return m / (1 - math.Pow(betas[0], a.t)) / (math.Sqrt(v/(1-math.Pow(betas[1], a.t))) + eps)
	}, g)
	return d
}

// onManifold removes from d what leaves the orthonormal matrices at y.
func onManifold(y, d *mat.Dense) *mat.Dense {
	c := ref.Mul(y.T(), d)
	return ref.Combine(1, d, -0.5, ref.Mul(y, ref.Combine(1, c, 1, c.T())))
}

func diagonal(s []float64, by float64) *mat.Dense {
	d := mat.NewDense(len(s), len(s), nil)
	for i, v := range s {
		d.Set(i, i, v*by)
	}
	return d
}

// leading returns the first r columns.
func leading(m *mat.Dense, r int) *mat.Dense {
	rows, _ := m.Dims()
	return mat.DenseCopyOf(m.Slice(0, rows, 0, r))
}

func TestStelLAFollowsItsFormulas(t *testing.T) {
	b, a, way := eight(20)
	way.h = Hyper{LR: 0.02, WeightDecay: 0.1}
	rule := made[*StelLA](t, "stella")
	rule.Width = 11
	x := startOf(b, a)
	u, s, v := ref.SVD(x)
	u, v = leading(u, 3), leading(v, 3)
	core := diagonal(s[:3], 1/wideScale)
	var adamU, adamS, adamV adam
	for range way.steps {
		g := way.gradient(ref.Combine(wideScale, ref.Mul(u, core, v.T()), 0, x))
		g.Scale(wideScale, g)
		gu, gs, gv := ref.Mul(g, v, core.T()), ref.Mul(u.T(), g, v), ref.Mul(g.T(), u, core)
		along := func(y, gy *mat.Dense, a *adam) *mat.Dense {
			gy = ref.Combine(1, gy, -1, ref.Mul(y, gy.T(), y))
			rows, _ := y.Dims()
			d := a.direction(rule.Betas, rule.Eps, gy)
			return ref.Sign(ref.Combine(1, y, -way.h.LR*math.Sqrt(11/float64(rows)), onManifold(y, d)))
		}
		u, v = along(u, gu, &adamU), along(v, gv, &adamV)
		core = ref.Combine(1-way.h.LR*way.h.WeightDecay, core, -way.h.LR, adamS.direction(rule.Betas, rule.Eps, gs))
	}
	want := ref.Combine(wideScale, ref.Mul(u, core, v.T()), 0, x)
	p, _ := trainedBy(t, rule, b, a, way)
	if e := apart(p.x(), want, x); e > 1e-5 {
		t.Errorf("ends %g of the way apart", e)
	}
	if e := ref.Distance(ref.Mul(p.factorA(), p.factorA().T()), mat.NewDiagDense(3, []float64{1, 1, 1})); e > 1e-6 {
		t.Errorf("the rows of A are off orthonormality by %g", e)
	}
}

func TestStiefelLoRAFollowsItsFormulas(t *testing.T) {
	b, a, way := eight(21)
	way.h = Hyper{LR: 0.02, WeightDecay: 0.1}
	rule := made[*StiefelLoRA](t, "stiefel-lora")
	x := startOf(b, a)
	u, s, v := ref.SVD(x)
	u, v = leading(u, 3), leading(v, 3)
	other := ref.Mul(diagonal(s[:3], 1/wideScale), v.T())
	var adamA adam
	m, square := ref.Combine(0, u, 0, u), 0.0
	for k := range way.steps {
		g := way.gradient(ref.Combine(wideScale, ref.Mul(u, other), 0, x))
		g.Scale(wideScale, g)
		xi := onManifold(u, ref.Mul(g, other.T()))
		ga := ref.Mul(u.T(), g)
		m = ref.Combine(rule.Betas[0], m, 1-rule.Betas[0], xi)
		square = rule.Betas[1]*square + (1-rule.Betas[1])*ref.Inner(xi, xi)/float64(23*3)
		t := float64(k + 1)
		size := (1 - math.Pow(rule.Betas[0], t)) * math.Sqrt(square/(1-math.Pow(rule.Betas[1], t)))
		u = positiveQR(ref.Combine(1, u, -way.h.LR/size, m))
		m = onManifold(u, m)
		other = ref.Combine(1-way.h.LR*way.h.WeightDecay, other, -way.h.LR, adamA.direction(rule.Betas, rule.Eps, ga))
	}
	want := ref.Combine(wideScale, ref.Mul(u, other), 0, x)
	p, _ := trainedBy(t, rule, b, a, way)
	if e := apart(p.x(), want, x); e > 1e-5 {
		t.Errorf("ends %g of the way apart", e)
	}
	if e := ref.Distance(ref.Mul(p.factorB().T(), p.factorB()), mat.NewDiagDense(3, []float64{1, 1, 1})); e > 1e-6 {
		t.Errorf("the columns of B are off orthonormality by %g", e)
	}
}

// positiveQR returns Q of y = Q·R with a positive diagonal of R.
func positiveQR(y *mat.Dense) *mat.Dense {
	var qr mat.QR
	qr.Factorize(y)
	var q, r mat.Dense
	qr.QTo(&q)
	qr.RTo(&r)
	_, cols := y.Dims()
	out := leading(&q, cols)
	for j := range cols {
		if r.At(j, j) < 0 {
			for i := range out.RawMatrix().Rows {
				out.Set(i, j, -out.At(i, j))
			}
		}
	}
	return out
}

// Both start at a zero B with orthonormal directions and the same X.
func TestStiefelRulesStartFromZero(t *testing.T) {
	rng := rand.New(rand.NewPCG(22, 30))
	for _, rule := range []Rule{made[*StelLA](t, "stella"), made[*StiefelLoRA](t, "stiefel-lora")} {
		p, _ := trainedBy(t, rule, mat.NewDense(23, 3, nil), ref.Random(rng, 3, 17), route{})
		if n := mat.Norm(p.x(), 2); n > 2e-6 {
			t.Errorf("%T: X starts with norm %g", rule, n)
		}
		q := p.factorB()
		if _, ok := rule.(*StelLA); ok {
			q = mat.DenseCopyOf(p.factorA().T())
		}
		if e := ref.Distance(ref.Mul(q.T(), q), mat.NewDiagDense(3, []float64{1, 1, 1})); e > 1e-6 {
			t.Errorf("%T: starts off orthonormality by %g", rule, e)
		}
	}
}
