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

// triplets returns the singular triplets of g as the randomised decomposition gives them.
func triplets(g *mat.Dense) SVD[float32] {
	u, s, v := ref.SVD(g)
	narrow := func(m *mat.Dense) dense.Mat[float32] {
		x := thin(m)
		y := dense.New[float32](x.Rows, x.Cols)
		dense.Copy(y, x)
		return y
	}
	return SVD[float32]{U: narrow(u), S: s, V: narrow(v)}
}

func widened(x Point[float32]) Point[float64] {
	y := Point[float64]{dense.New[float64](x.U.Rows, x.Rank()), dense.New[float64](x.V.Rows, x.Rank()), x.S}
	dense.Copy(y.U, x.U)
	dense.Copy(y.V, x.V)
	return y
}

// within returns the energy of g within the tangent space at x.
func within(x Point[float64], g *mat.Dense) float64 { return SquaredNorm(tangent(x, g)) }

// TestLOICapturesTheMostEnergy: the energy of the gradient in the tangent space is Σ of the leading 2r squared singular values, no random
// point has more, every complementary split of the triplets has as much, and the directions U₁V₁ᵀ have less.
func TestLOICapturesTheMostEnergy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const m, n, r = 23, 17, 3
	g := ref.Random(rng, m, n)
	u, s, v := ref.SVD(g)
	best := energy(s[:2*r])
	d := triplets(g)
	for _, alpha := range []float64{-0.01, 1, -3} {
		x := LocallyOptimal(d, r, alpha)
		if e := within(widened(x), g); math.Abs(e-best) > 1e-5*best {
			t.Errorf("alpha %v: captured %v, want %v", alpha, e, best)
		}
		for _, s := range x.S {
			if s != math.Abs(alpha) {
				t.Errorf("alpha %v: singular value %v", alpha, s)
			}
		}
		x0 := ref.Mul(columns(u, 0, r), columns(v, r, 2*r).T())
		if e := ref.Distance(matrix(widened(x)), ref.Combine(alpha, x0, 0, x0)); e > 1e-5*math.Abs(alpha) {
			t.Errorf("alpha %v: X is off alpha·U₁·V₂ᵀ by %g", alpha, e)
		}
	}
	for range 200 {
		if e := within(point(ref.Random(rng, m, r), ref.Random(rng, n, r)), g); e > best*(1+tight) {
			t.Errorf("a random point captures %v, more than the optimum %v", e, best)
		}
	}
	for name, split := range map[string]Point[float64]{
		"ArB2r": point(columns(u, r, 2*r), columns(v, 0, r)),
		"ArBr":  point(columns(u, 0, 2*r, 2), columns(v, 1, 2*r, 2)),
	} {
		if e := within(split, g); math.Abs(e-best) > 1e-10*best {
			t.Errorf("%s captures %v, want %v", name, e, best)
		}
	}
	if e := within(point(columns(u, 0, r), columns(v, 0, r)), g); e > 0.8*best {
		t.Errorf("U₁V₁ᵀ captures %v of %v", e, best)
	}
}

// columns returns the columns [from, to) of m, in steps if one is given.
func columns(m *mat.Dense, from, to int, step ...int) *mat.Dense {
	by := 1
	if len(step) > 0 {
		by = step[0]
	}
	rows, _ := m.Dims()
	out := mat.NewDense(rows, (to-from+by-1)/by, nil)
	for j := from; j < to; j += by {
		out.SetCol((j-from)/by, mat.Col(nil, j, m))
	}
	return out
}

// TestTheWholeFamilyOfTheoremIsOptimal: X₀ = [U₁ U₂Σ₂][S₁₁; S₂₁]·[C₂₁ C₂₂][Σ₁V₁ᵀ; V₂ᵀ] with C = S⁻¹ for any invertible S.
func TestTheWholeFamilyOfTheoremIsOptimal(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	const m, n, r = 23, 17, 3
	g := ref.Random(rng, m, n)
	u, s, v := ref.SVD(g)
	left, right := mat.NewDense(m, 2*r, nil), mat.NewDense(n, 2*r, nil)
	for j := range 2 * r {
		a, b := 1.0, s[j]
		if j >= r {
			a, b = s[j], 1
		}
		for i := range m {
			left.Set(i, j, a*u.At(i, j))
		}
		for i := range n {
			right.Set(i, j, b*v.At(i, j))
		}
	}
	for range 20 {
		basis := ref.Random(rng, 2*r, 2*r)
		var inverse mat.Dense
		if err := inverse.Inverse(basis); err != nil {
			t.Fatal(err)
		}
		p := ref.Mul(left, columns(basis, 0, r))
		q := ref.Mul(right, inverse.Slice(r, 2*r, 0, 2*r).T())
		if e := within(point(p, q), g); math.Abs(e-energy(s[:2*r])) > 1e-8*e {
			t.Errorf("captured %v, want %v", e, energy(s[:2*r]))
		}
	}
}

// TestTheFirstRiemannianGradientIsTheBestOfRank2r compares matrices, not energies.
func TestTheFirstRiemannianGradientIsTheBestOfRank2r(t *testing.T) {
	const r = 3
	g := ref.Random(rand.New(rand.NewPCG(3, 3)), 23, 17)
	x := widened(LocallyOptimal(triplets(g), r, -0.01))
	if e := ref.Distance(vector(x, tangent(x, g)), ref.Truncated(g, 2*r)); e > 1e-5*mat.Norm(g, 2) {
		t.Errorf("off by %g", e)
	}
}

// TestTheSizeOfAlphaDecidesWhatTheFirstStepKeeps: steps much shorter than alpha go along all 2r directions, steps much longer throw the
// start away and keep r of them.
func TestTheSizeOfAlphaDecidesWhatTheFirstStepKeeps(t *testing.T) {
	const r = 3
	g := ref.Random(rand.New(rand.NewPCG(4, 4)), 23, 17)
	for _, c := range []struct {
		alpha float64
		keep  int
	}{{-1e4, 2 * r}, {-1e-4, r}} {
		x := widened(LocallyOptimal(triplets(g), r, c.alpha))
		before := matrix(x)
		w := new(workspace)
		xi := tangent(x, ref.Combine(-1, g, 0, g))
		Retract(w, x, xi, TruncatedSVD, x)
		moved := ref.Combine(1, matrix(x), -1, before)
		if e := ref.Distance(ref.Combine(-1, moved, 0, moved), ref.Truncated(g, c.keep)) / mat.Norm(g, 2); e > 1e-3 {
			t.Errorf("alpha %v: the step is off that along %d directions by %.2g", c.alpha, c.keep, e)
		}
	}
}
