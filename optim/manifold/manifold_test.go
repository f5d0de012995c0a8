package manifold_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel/dense"
	ref "github.com/geotune/geotune/optim/internal/reference"
	. "github.com/geotune/geotune/optim/manifold"
)

// shapes are m, n, r with and without room for a complement of r directions.
var shapes = [][3]int{{23, 17, 3}, {17, 23, 3}, {30, 20, 1}, {9, 8, 6}, {5, 12, 4}, {4, 4, 4}, {6, 1, 1}, {1, 1, 1}}

const tight = 1e-12

func TestFromFactorsKeepsTheMatrix(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(1, 1))
		p, q := ref.Random(rng, s[0], s[2]), ref.Random(rng, s[1], s[2])
		x := point(p, q)
		if e := ref.Distance(matrix(x), ref.Mul(p, q.T())); e > tight {
			t.Errorf("%v: off by %g", s, e)
		}
		checkGauge(t, x)
	}
}

func checkGauge(t *testing.T, x Point[float64]) {
	t.Helper()
	w := new(workspace)
	if e := dense.Orthonormality(w, x.U) + dense.Orthonormality(w, x.V); e > tight {
		t.Errorf("factors are off orthonormality by %g", e)
	}
	if !slices.IsSortedFunc(x.S, func(a, b float64) int { return int(math.Copysign(1, b-a)) }) || x.S[len(x.S)-1] < Floor {
		t.Errorf("singular values %v", x.S)
	}
}

// A zero factor is off the manifold: the other factor's span is kept, the rest is random, and the singular values are small.
func TestFromFactorsStartsFromRankDeficientProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	q := ref.Random(rng, 17, 3)
	x := point(mat.NewDense(23, 3, nil), q)
	checkGauge(t, x)
	if !slices.Equal(x.S, []float64{1e-6, 1e-6, 1e-6}) {
		t.Errorf("singular values %v, want 1e-6", x.S)
	}
	v := whole(x.V)
	if e := ref.Distance(ref.Mul(v, v.T(), q), q); e > tight {
		t.Errorf("the span of the other factor was lost by %g", e)
	}
	if m := dense.Norm(x.U.Block(0, 0, 3, 3)); m > 1.7 {
		t.Errorf("the unknown directions are the first unit vectors: %v", whole(x.U))
	}
	p := ref.Random(rng, 23, 3)
	p.SetCol(2, mat.Col(nil, 0, p))
	x = point(p, q)
	checkGauge(t, x)
	if e := ref.Distance(matrix(x), ref.Mul(p, q.T())); e > 2e-6 || x.S[2] != 1e-6 {
		t.Errorf("rank 2 of 3: off by %g, singular values %v", e, x.S)
	}
}

func TestProjectionIsDenseIdempotentAndSelfAdjoint(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(3, 3))
		m, n, r := s[0], s[1], s[2]
		x := point(ref.Random(rng, m, r), ref.Random(rng, n, r))
		z, y := ref.Random(rng, m, n), ref.Random(rng, m, n)
		xi, eta := tangent(x, z), tangent(x, y)
		pz, py := vector(x, xi), vector(x, eta)
		for law, e := range map[string]float64{
			"dense formula": ref.Distance(pz, ref.Project(matrix(x), z, r)),
			"idempotent":    ref.Distance(vector(x, tangent(x, pz)), pz),
			"self-adjoint":  math.Abs(ref.Inner(pz, y) - ref.Inner(z, py)),
			"gauge UᵀA = 0": mat.Norm(ref.Mul(whole(x.U).T(), whole(xi.A)), 2),
			"length":        math.Abs(SquaredNorm(xi) - ref.Inner(pz, pz)),
			"inner product": math.Abs(Inner(xi, eta) - ref.Inner(pz, py)),
			"X is tangent":  ref.Distance(vector(x, tangent(x, matrix(x))), matrix(x)),
		} {
			if e > tight*float64(m*n) {
				t.Errorf("%v: %s: off by %g", s, law, e)
			}
		}
	}
}

func TestProjectFactorsIsProjectionOfTheProduct(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	x, w := point(ref.Random(rng, 23, 3), ref.Random(rng, 17, 3)), new(workspace)
	p, q := ref.Random(rng, 23, 7), ref.Random(rng, 17, 7)
	xi := NewTangent(w, 23, 17, 3)
	ProjectFactors(w, x, thin(p), thin(q), xi)
	if e := ref.Distance(vector(x, xi), ref.Project(matrix(x), ref.Mul(p, q.T()), 3)); e > tight*100 {
		t.Errorf("off by %g", e)
	}
}

func TestTransportIsReprojection(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(5, 5))
		m, n, r := s[0], s[1], s[2]
		w := new(workspace)
		x, y := point(ref.Random(rng, m, r), ref.Random(rng, n, r)), point(ref.Random(rng, m, r), ref.Random(rng, n, r))
		xi, to := tangent(x, ref.Random(rng, m, n)), NewTangent(w, m, n, r)
		Transport(w, x, xi, y, to)
		if e := ref.Distance(vector(y, to), ref.Project(matrix(y), vector(x, xi), r)); e > tight*10 {
			t.Errorf("%v: off by %g", s, e)
		}
		if SquaredNorm(to) > SquaredNorm(xi)*(1+tight) {
			t.Errorf("%v: the vector grew from %g to %g", s, SquaredNorm(xi), SquaredNorm(to))
		}
		if Transport(w, x, xi, x, to); ref.Distance(vector(x, to), vector(x, xi)) > tight {
			t.Errorf("%v: transport to the same point is not the identity", s)
		}
	}
}

func TestFrameHoldsPointAndVector(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(6, 6))
		m, n, r := s[0], s[1], s[2]
		w := new(workspace)
		x := point(ref.Random(rng, m, r), ref.Random(rng, n, r))
		xi := tangent(x, ref.Random(rng, m, n))
		f := NewFrame(w, x, xi)
		if e := dense.Orthonormality(w, f.U) + dense.Orthonormality(w, f.V); e > tight {
			t.Errorf("%v: bases off orthonormality by %g", s, e)
		}
		if e := ref.Distance(ref.Mul(whole(f.U), whole(f.K), whole(f.V).T()), vector(x, xi)); e > tight*10 {
			t.Errorf("%v: U·K·Vᵀ is off ξ by %g", s, e)
		}
		back := NewTangent(w, m, n, r)
		if f.Vector(w, f.K, back); ref.Distance(vector(x, back), vector(x, xi)) > tight*10 {
			t.Errorf("%v: the coordinates of K are not those of ξ", s)
		}
	}
}

// retractions with the order of their error within the tangent space; 0 means that there is none.
var retractions = []struct {
	name       string
	rule       Retraction[float64]
	tangential float64
}{{"truncated SVD", TruncatedSVD[float64], 3}, {"orthographic", Orthographic[float64], 0}, {"factorwise", Factorwise[float64], 2}}

func TestRetractionsHaveTheirOrder(t *testing.T) {
	for _, s := range shapes[:3] {
		rng := rand.New(rand.NewPCG(7, 7))
		m, n, r := s[0], s[1], s[2]
		x := point(ref.Random(rng, m, r), ref.Random(rng, n, r))
		xi := tangent(x, ref.Random(rng, m, n))
		for _, c := range retractions {
			off := func(t float64) *mat.Dense {
				w := new(workspace)
				to := NewPoint(w, m, n, r)
				Retract(w, x, scaled(xi, t), c.rule, to)
				return ref.Combine(1, matrix(to), -1, ref.Combine(1, matrix(x), t, vector(x, xi)))
			}
			within := func(t float64) float64 { return mat.Norm(ref.Project(matrix(x), off(t), r), 2) }
			if k := ref.Slope(func(t float64) float64 { return mat.Norm(off(t), 2) }, 1e-2); math.Abs(k-2) > 0.1 {
				t.Errorf("%v: %s: error of order %g, want 2", s, c.name, k)
			}
			if c.tangential == 0 {
				if e := within(1e-2); e > tight {
					t.Errorf("%v: %s: error %g within the tangent space, want 0", s, c.name, e)
				}
			} else if k := ref.Slope(within, 1e-2); k < c.tangential-0.15 {
				t.Errorf("%v: %s: error of order %g within the tangent space, want %g", s, c.name, k, c.tangential)
			}
		}
	}
}

func TestRetractionsAreTheirDenseFormulas(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(8, 8))
		m, n, r := s[0], s[1], s[2]
		w := new(workspace)
		x := point(ref.Random(rng, m, r), ref.Random(rng, n, r))
		xi := tangent(x, ref.Random(rng, m, n))
		u, v, y := whole(x.U), whole(x.V), ref.Combine(1, matrix(x), 1, vector(x, xi))
		var middle mat.Dense
		if err := middle.Inverse(ref.Mul(u.T(), y, v)); err != nil {
			t.Fatal(err)
		}
		sv, inverse := ref.Mul(matrix(x), v), mat.NewDense(r, r, nil)
		for j, value := range x.S {
			inverse.Set(j, j, 1/value)
		}
		db := ref.Mul(vector(x, xi), v, inverse)                                               // ξ·R⁺ for R = S·Vᵀ
		da := ref.Mul(u.T(), ref.Combine(1, vector(x, xi), -1, ref.Mul(db, u.T(), sv, v.T()))) // L⁺·(ξ - ΔB·R)
		want := []*mat.Dense{ref.Truncated(y, r), ref.Mul(y, v, &middle, u.T(), y), ref.Mul(ref.Combine(1, u, 1, db), ref.Combine(1, ref.Mul(u.T(), matrix(x)), 1, da))}
		for i, c := range retractions {
			to := NewPoint(w, m, n, r)
			Retract(w, x, xi, c.rule, to)
			checkGauge(t, to)
			if e := ref.Distance(matrix(to), want[i]); e > 1e-10*mat.Norm(want[i], 2) {
				t.Errorf("%v: %s: off by %g of %g", s, c.name, e, mat.Norm(want[i], 2))
			}
		}
	}
}

// L(R(tξ)) = L(X) + t·⟨grad L, ξ⟩ + O(t²) for L = ½‖X - target‖².
func TestRiemannianGradientPredictsTheLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	x, target := point(ref.Random(rng, 23, 3), ref.Random(rng, 17, 3)), ref.Random(rng, 23, 17)
	loss := func(x Point[float64]) float64 { d := ref.Combine(1, matrix(x), -1, target); return ref.Inner(d, d) / 2 }
	grad, xi := tangent(x, ref.Combine(1, matrix(x), -1, target)), tangent(x, ref.Random(rng, 23, 17))
	k := ref.Slope(func(t float64) float64 {
		w := new(workspace)
		to := NewPoint(w, 23, 17, 3)
		Retract(w, x, scaled(xi, t), TruncatedSVD[float64], to)
		return math.Abs(loss(to) - loss(x) - t*Inner(grad, xi))
	}, 1e-3)
	if math.Abs(k-2) > 0.1 {
		t.Errorf("remainder of order %g, want 2", k)
	}
}

func TestMoveCarriesTheVectorAsTransportDoes(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(10, 10))
		m, n, r := s[0], s[1], s[2]
		w := new(workspace)
		x, y := point(ref.Random(rng, m, r), ref.Random(rng, n, r)), NewPoint(w, m, n, r)
		xi := tangent(x, ref.Random(rng, m, n))
		f, carried, want := NewFrame(w, x, xi), NewTangent(w, m, n, r), NewTangent(w, m, n, r)
		c := f.Core(w) // 0.9·X - 0.3·ξ
		for i := range c.Rows {
			for j := range c.Cols {
				c.Set(i, j, -0.3*f.K.At(i, j))
			}
		}
		for i, s := range f.S {
			c.Set(i, i, c.At(i, i)+0.9*s)
		}
		f.Move(w, c, y, &carried)
		Transport(w, x, xi, y, want)
		if e := ref.Distance(vector(y, carried), vector(y, want)); e > tight*10 {
			t.Errorf("%v: off by %g", s, e)
		}
	}
}

func TestMSignIsProjectedDenseSign(t *testing.T) {
	for _, s := range shapes {
		rng := rand.New(rand.NewPCG(11, 11))
		m, n, r := s[0], s[1], s[2]
		x := point(ref.Random(rng, m, r), ref.Random(rng, n, r))
		xi := tangent(x, ref.Random(rng, m, n))
		dense1 := ref.Project(matrix(x), ref.Sign(vector(x, xi)), r)
		o := signed(x, xi, 1)
		if e := ref.Distance(o, dense1); e > 1e-10 {
			t.Errorf("%v: off by %g", s, e)
		}
		_, values, _ := ref.SVD(o)
		if values[0] > 2/math.Sqrt(3)+tight {
			t.Errorf("%v: largest singular value %v, want at most 2/√3", s, values[0])
		}
		_, of, _ := ref.SVD(vector(x, xi))
		var nuclear float64
		for _, v := range of {
			nuclear += v
		}
		if e := math.Abs(ref.Inner(vector(x, xi), o) - nuclear); e > tight*100 {
			t.Errorf("%v: ⟨ξ,o⟩ is off the nuclear norm by %g", s, e)
		}
		if e := ref.Distance(signed(x, xi, 2), ref.Project(matrix(x), ref.Sign(dense1), r)); e > 1e-9 {
			t.Errorf("%v: two projections: off by %g", s, e)
		}
	}
}

// signed returns the matrix of MSign.
func signed(x Point[float64], xi Tangent[float64], projections int) *mat.Dense {
	w := new(workspace)
	f := NewFrame(w, x, xi)
	o, out := f.Core(w), NewTangent(w, x.U.Rows, x.V.Rows, x.Rank())
	MSign(w, f.K, x.Rank(), x.Rank(), SignTol[float64](), projections, o)
	f.Vector(w, o, out)
	return vector(x, out)
}

func TestAlternatingProjectionsReachUnitSingularValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 12))
	x := point(ref.Random(rng, 23, 3), ref.Random(rng, 17, 3))
	xi := tangent(x, ref.Random(rng, 23, 17))
	last := 1.0
	for _, projections := range []int{1, 3, 5, 100} {
		_, s, _ := ref.SVD(signed(x, xi, projections))
		worst := 0.0
		for _, v := range s[:6] {
			worst = max(worst, math.Abs(v-1))
		}
		if worst > last {
			t.Errorf("%d projections: singular values %v", projections, s[:6])
		}
		last = worst
	}
	if last > 1e-6 {
		t.Errorf("after 100 projections still %g from 1", last)
	}
}

// Directions that rounding made must not be blown up to length 1.
func TestMSignMasksWhatIsNotThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 13))
	x := point(ref.Random(rng, 23, 3), ref.Random(rng, 17, 3))
	for rank := range 4 {
		z := mat.NewDense(23, 17, nil)
		if rank > 0 {
			z = ref.Mul(ref.Random(rng, 23, rank), ref.Random(rng, rank, 17))
		}
		xi := tangent(x, z)
		_, s, _ := ref.SVD(vector(x, xi))
		want := 0
		for want < len(s) && s[want] > 1e-10*s[0] {
			want++
		}
		o := signed(x, xi, 1)
		if e := ref.Distance(o, ref.Project(matrix(x), ref.Sign(vector(x, xi)), 3)); e > 1e-9 || math.IsNaN(e) {
			t.Errorf("gradient of rank %d, vector of rank %d: off by %g", rank, want, e)
		}
	}
}

func TestReorthogonaliseSquaresTheError(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 14))
	x, w := point(ref.Random(rng, 40, 5), ref.Random(rng, 30, 5)), new(workspace)
	for i := range x.U.Data {
		x.U.Data[i] += 1e-5 * rng.NormFloat64()
	}
	before := dense.Orthonormality(w, x.U)
	Reorthogonalise(w, x.U)
	if after := dense.Orthonormality(w, x.U); after > 2*before*before {
		t.Errorf("error went from %g to %g", before, after)
	}
}
