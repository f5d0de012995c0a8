package optim

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	ref "github.com/geotune/geotune/optim/internal/reference"
	"github.com/geotune/geotune/optim/manifold"
)

// The laws of the optimizers on LowRank points, which follow from arXiv 2507.12142. Package manifold tests those of the geometry itself:
//
//	1  projection                  manifold: TestProjectionIsDenseIdempotentAndSelfAdjoint
//	2  gradients by thin products  TestThinProductsAreThoseOfTheDenseGradient
//	3  retractions                 manifold: TestRetractionsHaveTheirOrder, TestRetractionsAreTheirDenseFormulas
//	4  gradient check              TestTheLossOfTheNetworkFallsAsItsGradientSays; manifold: TestRiemannianGradientPredictsTheLoss
//	5  matrix sign                 manifold: TestMSign..., TestAlternatingProjections...
//	6  change of basis             TestPathsDoNotDependOnTheFactors, TestFactorwiseRulesDependOnTheFactors
//	7  loss scale, equivariance    TestPathsDoNotDependOnTheScaleOfTheLoss, TestRotatedProblemsHaveRotatedPaths, TestTransposed...
//	8  dense trajectory            TestPathsAreThoseOfTheDenseAlgorithms; manifold: TestStepsAreThoseOfTheNaiveAlgorithm
//	9  locally optimal start       manifold: TestLOI..., TestRSVD...
//	10 transport                   manifold: TestTransportIsReprojection, TestMoveCarriesTheVectorAsTransportDoes
//	11 decay                       TestDecayWithoutGradientShrinksX; manifold: TestDecayWithoutGradientShrinksSingularValuesAlone
//	12 equivalences                TestFirstOrderOfLoRAProIsTheRiemannianGradient and the tests after it
//	13 edge cases                  TestRulesMoveFromZeroAndStayFinite, TestFixedRankStepsStayFinite; manifold: TestStepsFromEdgesOfTheManifold

// lawTolerance is the largest distance between paths that count as the same, relative to the way.
const lawTolerance = 1e-12

// eight is a route of eight steps from factors of rank 3 to a target of rank 5, with decay.
func eight(seed uint64) (b, a *mat.Dense, way route) {
	rng := rand.New(rand.NewPCG(seed, 30))
	b, a = ref.Random(rng, 23, 3), ref.Random(rng, 3, 17)
	target := ref.Mul(ref.Random(rng, 23, 5), ref.Random(rng, 5, 17))
	return b, a, route{gradient: toward(target, 1), h: Hyper{LR: 0.05, WeightDecay: 0.1}, steps: 8}
}

// apart returns the distance of two ends relative to the way to the second.
func apart(a, b, start *mat.Dense) float64 { return ref.Distance(a, b) / ref.Distance(b, start) }

func startOf(b, a *mat.Dense) *mat.Dense {
	return ref.Combine(wideScale, ref.Mul(b, a), 0, ref.Mul(b, a))
}

// Law 6: (B·Q, Q⁻¹·A) is the same matrix as (B, A), here for a Q of condition 10, with momentum, decay and everything else.
func TestPathsDoNotDependOnTheFactors(t *testing.T) {
	b, a, way := eight(1)
	q, inverse := ref.Basis(rand.New(rand.NewPCG(1, 31)), 3, 10)
	for name, r := range wideRules(t) {
		e := apart(r.end(t, ref.Mul(b, q), ref.Mul(inverse, a), way), r.end(t, b, a, way), startOf(b, a))
		t.Logf("%s: %.1e", name, e)
		if e > lawTolerance {
			t.Errorf("%s: ends %g of the way apart", name, e)
		}
	}
}

// Law 6, the other half: rules that move each factor by itself depend on the choice, here a tenth of the way and more.
func TestFactorwiseRulesDependOnTheFactors(t *testing.T) {
	b, a, way := eight(1)
	q, inverse := ref.Basis(rand.New(rand.NewPCG(1, 31)), 3, 10)
	for name, h := range map[string]Hyper{
		"sgd": {LR: 0.01}, "adamw": {LR: 0.05, WeightDecay: 0.1}, "muon": {LR: 0.05, WeightDecay: 0.1}, "lora-plus": {LR: 0.01},
		"scaled-adamw": {LR: 0.05},
	} {
		way.h = h
		e := apart(trained(t, name, ref.Mul(b, q), ref.Mul(inverse, a), way), trained(t, name, b, a, way), startOf(b, a))
		t.Logf("%s: %.2f", name, e)
		if !(e > 0.1) {
			t.Errorf("%s: ends only %g of the way apart", name, e)
		}
	}
}

// Law 7: rules that normalise their direction do not see a constant factor of the loss.
func TestPathsDoNotDependOnTheScaleOfTheLoss(t *testing.T) {
	b, a, way := eight(2)
	target := ref.Mul(ref.Random(rand.New(rand.NewPCG(2, 32)), 23, 5), ref.Random(rand.New(rand.NewPCG(2, 33)), 5, 17))
	rules := wideRules(t)
	for name, scaleFree := range map[string]bool{
		"riemannion": true, "riemannion, nesterov": true, "riemannion, three projections": true, "lora-muon": true, "lora-tsd": true,
		"lora-rite": true, "lora-pro-thin-adam": true, "riemann-sgd, none": false, "lora-pro": false, "scaled-sgd": false,
	} {
		r, small, large := rules[name], way, way
		small.gradient, large.gradient = toward(target, 1e-3), toward(target, 2e-3)
		if scaleFree {
			large.gradient = toward(target, 1e3)
		}
		e := apart(r.end(t, b, a, large), r.end(t, b, a, small), startOf(b, a))
		t.Logf("%s: %.1e", name, e)
		if scaleFree != (e <= lawTolerance) {
			t.Errorf("%s: ends %g of the way apart; invariant: %v", name, e, scaleFree)
		}
	}
}

// Law 7: with orthogonal L and R the problem in L·X·Rᵀ has the path L·X·Rᵀ. Elementwise second moments break it.
func TestRotatedProblemsHaveRotatedPaths(t *testing.T) {
	b, a, way := eight(3)
	rng := rand.New(rand.NewPCG(3, 34))
	left, right := ref.Orthogonal(rng, 23), ref.Orthogonal(rng, 17)
	target := ref.Mul(ref.Random(rng, 23, 5), ref.Random(rng, 5, 17))
	straight, rotated := way, way
	straight.gradient = func(x *mat.Dense) *mat.Dense { return ref.Combine(1, x, -1, target) }
	rotated.gradient = func(x *mat.Dense) *mat.Dense { return ref.Combine(1, x, -1, ref.Mul(left, target, right.T())) }
	for name, r := range wideRules(t) {
		want := ref.Mul(left, r.end(t, b, a, straight), right.T())
		e := apart(r.end(t, ref.Mul(left, b), ref.Mul(a, right.T()), rotated), want, ref.Mul(left, startOf(b, a), right.T()))
		t.Logf("%s: %.1e", name, e)
		if elementwise := name == "lora-pro-thin-adam"; elementwise != (e > 1e-2) || !elementwise && e > lawTolerance {
			t.Errorf("%s: ends %g of the way apart", name, e)
		}
	}
}

// Law 7: the problem in Xᵀ has the path Xᵀ, but for a direction that treats the sides apart.
func TestTransposedProblemsHaveTransposedPaths(t *testing.T) {
	b, a, way := eight(4)
	straight, turned := way, way
	turned.gradient = func(x *mat.Dense) *mat.Dense { return mat.DenseCopyOf(straight.gradient(mat.DenseCopyOf(x.T())).T()) }
	rules := wideRules(t)
	for name, symmetric := range map[string]bool{
		"riemannion": true, "riemannion, nesterov": true, "riemannion, three projections": true, "riemann-sgd, none": true,
		"riemann-sgd, adam": true, "geolora": true, "lora-pro-thin-adam": true, "scaled-sgd": true, "lora-muon": true, "lora-rite": true,
		"riemann-sgd, paper": false,
	} {
		r := rules[name]
		end := mat.DenseCopyOf(r.end(t, mat.DenseCopyOf(a.T()), mat.DenseCopyOf(b.T()), turned).T())
		e := apart(end, r.end(t, b, a, straight), startOf(b, a))
		t.Logf("%s: %.1e", name, e)
		if symmetric != (e <= lawTolerance) || !symmetric && e < 0.01 {
			t.Errorf("%s: ends %g of the way apart; symmetric: %v", name, e, symmetric)
		}
	}
}

// Clipping goes by the length of the Riemannian gradient P_T·G, in whatever factors X is and also after the rule has chosen its own.
func TestClippingGoesByTheRiemannianGradient(t *testing.T) {
	b, a, way := eight(7)
	q, inverse := ref.Basis(rand.New(rand.NewPCG(7, 8)), 3, 10)
	x := startOf(b, a)
	g := way.gradient(x)
	want := mat.Norm(ref.Project(x, g, 3), 2)
	if plain := mat.Norm(g, 2); want > 0.99*plain {
		t.Fatalf("the gradient is tangent: %g of %g", want, plain)
	}
	all := wideRules(t)
	for _, name := range []string{"lora-pro", "riemannion"} {
		for _, factors := range [][2]*mat.Dense{{b, a}, {ref.Mul(b, q), ref.Mul(inverse, a)}} {
			p := all[name].start(t, factors[0], factors[1])
			p.receive(g)
			lengths := map[string]float64{"any factors": p.riemannianSquaredNorm(&p.w)}
			if all[name].fixed {
				lengths["canonical factors"] = manifold.SquaredNorm(p.gradient(&p.w, p.load(&p.w)))
			}
			for how, squared := range lengths {
				if e := math.Abs(math.Sqrt(squared)/want - 1); !(e <= lawTolerance) {
					t.Errorf("%s, %s: length %v, want %v", name, how, math.Sqrt(squared), want)
				}
			}
		}
	}
}

// Law 11: without a gradient X shrinks by (1-ηγ) a step, exactly, and its spaces stay; rules on factors decay both.
func TestDecayWithoutGradientShrinksX(t *testing.T) {
	b, a, way := eight(5)
	way.gradient = func(x *mat.Dense) *mat.Dense { m, n := x.Dims(); return mat.NewDense(m, n, nil) }
	for name, r := range wideRules(t) {
		keep := 1 - way.h.LR*way.h.WeightDecay
		if !r.fixed && name != "lora-muon" && name != "lora-tsd" {
			keep *= keep
		}
		want := ref.Combine(math.Pow(keep, float64(way.steps)), startOf(b, a), 0, startOf(b, a))
		if e := ref.Relative(r.end(t, b, a, way), want); e > 1e-14*float64(way.steps) {
			t.Errorf("%s: off by %g", name, e)
		}
	}
}

// StepLength is what the first step moves X by in the spectral norm: the whole length for an exact sign, up to 2/√3 of it for a projected
// one, and less where the two halves of LoRA-Muon point apart.
func TestStepLengthIsTheSpectralNormOfAStep(t *testing.T) {
	b, a, way := eight(12)
	x := startOf(b, a)
	for name, r := range wideRules(t) {
		rule, ok := r.rule.(StepLengther)
		if !ok {
			continue
		}
		p := r.start(t, b, a)
		r.move(t, p, way.gradient(x), Hyper{LR: 1e-6})
		_, s, _ := ref.SVD(ref.Combine(1, p.x(), -1, x))
		if ratio := s[0] / rule.StepLength(narrowed(t, p), 1e-6); ratio < 0.5 || ratio > 1.16 {
			t.Errorf("%s: the step has %g of its length", name, ratio)
		}
	}
}
