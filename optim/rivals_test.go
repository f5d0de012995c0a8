package optim

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	ref "github.com/geotune/geotune/optim/internal/reference"
)

// LoRA+ is AdamW with B at a multiple of the learning rate.
func TestLoRAPlusIsAdamWWithAnotherRateForB(t *testing.T) {
	b, a, way := eight(30)
	plus, _ := trainedBy(t, made[*LoRAPlus](t, "lora-plus"), b, a, route{way.gradient, Hyper{LR: 1e-3}, 1})
	one, _ := trainedBy(t, made[*AdamW](t, "adamw"), b, a, route{way.gradient, Hyper{LR: 1e-3}, 1})
	sixteen, _ := trainedBy(t, made[*AdamW](t, "adamw"), b, a, route{way.gradient, Hyper{LR: 16e-3}, 1})
	if e := ref.Distance(plus.factorA(), one.factorA()); e != 0 {
		t.Errorf("A is off AdamW's at the learning rate by %g", e)
	}
	if e := ref.Distance(plus.factorB(), sixteen.factorB()); e != 0 {
		t.Errorf("B is off AdamW's at 16 times the learning rate by %g", e)
	}
}

// Between exact steps LORO is AdamW at r/max(out,in) of the rate; after one the factors are balanced and Adam starts anew.
func TestLOROIsAdamWBetweenExactSteps(t *testing.T) {
	b, a, way := eight(31)
	rule := made[*LORO](t, "loro")
	rule.Period = 4
	for _, gradient := range []ExactGradient{ExactRaw, ExactAdam} {
		rule.ExactGradient = gradient
		h := Hyper{LR: 0.02}
		small := Hyper{LR: h.LR * 3 / 23}
		got, _ := trainedBy(t, rule, b, a, route{way.gradient, h, 3})
		want, _ := trainedBy(t, made[*AdamW](t, "adamw"), b, a, route{way.gradient, small, 3})
		if e := apart(got.x(), want.x(), startOf(b, a)); e > 1e-5 {
			t.Errorf("three steps end %g of the way from AdamW's", e)
		}
		exact, _ := trainedBy(t, rule, b, a, route{way.gradient, h, 4})
		balance := ref.Combine(1, ref.Mul(exact.factorB().T(), exact.factorB()), -1, ref.Mul(exact.factorA(), exact.factorA().T()))
		if e := mat.Norm(balance, 2) / mat.Norm(ref.Mul(exact.factorA(), exact.factorA().T()), 2); e > 1e-5 {
			t.Errorf("%s: after the exact step BᵀB and AAᵀ differ by %g", gradient, e)
		}
		if gradient == ExactRaw {
			x := want.x()
			target := ref.Truncated(ref.Combine(1, x, -h.LR, ref.Project(x, way.gradient(x), 3)), 3)
			if e := apart(exact.x(), target, x); e > 1e-4 {
				t.Errorf("the exact step ends %g of its way off SVD_r(X - η·P_T(G))", e)
			}
		}
		again, _ := trainedBy(t, rule, b, a, route{way.gradient, h, 5})
		fresh, _ := trainedBy(t, made[*AdamW](t, "adamw"), exact.factorB(), exact.factorA(), route{way.gradient, small, 1})
		if e := apart(again.x(), fresh.x(), exact.x()); e > 1e-4 {
			t.Errorf("%s: the step after the exact one ends %g of its way from a first step of AdamW", gradient, e)
		}
	}
}

// GeoLoRA finds the rank of its target within the room it has, from above and from below, and remembers it in the factors alone.
func TestGeoLoRAFindsTheRank(t *testing.T) {
	rng := rand.New(rand.NewPCG(32, 30))
	for _, rank := range []int{1, 2, 5} {
		target := ref.Mul(ref.Orthogonal(rng, 23).Slice(0, 23, 0, rank), ref.Orthogonal(rng, 17).Slice(0, rank, 0, 17))
		way := route{func(x *mat.Dense) *mat.Dense { return ref.Combine(1, x, -1, target) }, Hyper{LR: 0.3}, 300}
		for name, b := range map[string]*mat.Dense{"zero": mat.NewDense(23, 6, nil), "full rank": ref.Random(rng, 23, 6)} {
			p, o := trainedBy(t, made[*GeoLoRA](t, "geolora"), b, ref.Random(rng, 6, 17), way)
			if got := rankOf(p.pair); got != rank {
				t.Errorf("from %s: rank %d, want %d", name, got, rank)
			}
			if e := ref.Relative(p.x(), target); e > 1e-2 {
				t.Errorf("from %s: ends %g from the target of rank %d", name, e, rank)
			}
			for _, v := range []*mat.Dense{trailing(p.factorB(), rank), trailing(mat.DenseCopyOf(p.factorA().T()), rank)} {
				if mat.Norm(v, 2) != 0 {
					t.Errorf("from %s: the factors hold more than rank %d", name, rank)
				}
			}
			if o.StateBytes() != int64(4*6*(23+17)+16) {
				t.Errorf("%d bytes of state", o.StateBytes())
			}
		}
	}
}

// trailing returns the columns from r on.
func trailing(m *mat.Dense, r int) *mat.Dense {
	rows, cols := m.Dims()
	return mat.DenseCopyOf(m.Slice(0, rows, r, cols))
}

// LoRA-TSD's rebalancing keeps X and the path and makes the factors equally long.
func TestRebalancingChangesNothingButTheFactors(t *testing.T) {
	b, a, way := eight(33)
	with, without := wideRules(t)["lora-tsd"], wideRules(t)["lora-tsd"]
	with.rule.(*LoRATSD).Rebalance, without.rule.(*LoRATSD).Rebalance = 2, 0
	if e := apart(with.end(t, b, a, way), without.end(t, b, a, way), startOf(b, a)); e > lawTolerance {
		t.Errorf("ends %g of the way apart", e)
	}
	p := with.start(t, b, a)
	for range 2 {
		with.move(t, p, way.gradient(p.x()), way.h)
	}
	if e := math.Abs(mat.Norm(p.factorA(), 2)/mat.Norm(p.factorB(), 2) - 1); e > 1e-14 {
		t.Errorf("lengths differ by %g", e)
	}
}

func TestSettingsOfRivalsOutOfRangeAreRefused(t *testing.T) {
	for name, edits := range map[string][]func(Rule){
		"lora-plus": {
			func(r Rule) { r.(*LoRAPlus).Ratio = 0 }, func(r Rule) { r.(*LoRAPlus).Ratio = math.Inf(1) }, func(r Rule) { r.(*LoRAPlus).Eps = -1 },
		},
		"geolora": {func(r Rule) { r.(*GeoLoRA).Tolerance = 1 }, func(r Rule) { r.(*GeoLoRA).Tolerance = -1 }, func(r Rule) { r.(*GeoLoRA).Beta2 = 1 }},
		"loro": {
			func(r Rule) { r.(*LORO).Period = 0 }, func(r Rule) { r.(*LORO).ExactGradient = "sgd" }, func(r Rule) { r.(*LORO).RestLRRatio = -1 },
			func(r Rule) { r.(*LORO).Betas[1] = 1 },
		},
		"stella":       {func(r Rule) { r.(*StelLA).Width = -1 }, func(r Rule) { r.(*StelLA).StartSigma = 0 }, func(r Rule) { r.(*StelLA).Eps = -1 }},
		"stiefel-lora": {func(r Rule) { r.(*StiefelLoRA).Betas[0] = 1 }},
		"lora-tsd": {
			func(r Rule) { r.(*LoRATSD).Projections = 0 }, func(r Rule) { r.(*LoRATSD).Rebalance = -1 }, func(r Rule) { r.(*LoRATSD).LRScaling = "muon" },
			func(r Rule) { r.(*LoRATSD).Momentum = 1 },
		},
		"lora-pro-thin-adam": {
			func(r Rule) { r.(*LoRAProThinAdam).Betas[0] = 1 }, func(r Rule) { r.(*LoRAProThinAdam).Eps = -1 },
			func(r Rule) { r.(*LoRAProThinAdam).LRScaling = LRScalingAdamW }, func(r Rule) { r.(*LoRAProThinAdam).StartSigma = 0 },
		},
		"riemann-sgd": {func(r Rule) { r.(*RiemannSGD).LRScaling = LRScalingAdamW }},
		"riemannion":  {func(r Rule) { r.(*Riemannion).LRScaling = "" }},
	} {
		for i, edit := range edits {
			rule, err := NewRule(name)
			if err != nil {
				t.Fatal(err)
			}
			edit(rule)
			if err := rule.(Validator).Validate(); err == nil {
				t.Errorf("%s, %d: %+v was accepted", name, i, rule)
			}
		}
	}
}
