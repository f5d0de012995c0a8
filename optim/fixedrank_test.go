package optim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// fixedRank returns a constructor of the registered rule with AdamW on the rest at the same rate, after edit.
func fixedRank[R any](t *testing.T, name string, edit func(rule R)) func() optim.Rule {
	return func() optim.Rule {
		rule := registered(t, name)()
		switch r := rule.(type) {
		case *optim.Riemannion:
			r.Rest.LRRatio = 1
		case *optim.RiemannSGD:
			r.Rest.LRRatio = 1
		}
		edit(rule.(R))
		return rule
	}
}

// fixedRankRules are the rules of this file with their variants.
func fixedRankRules(t *testing.T) map[string]func() optim.Rule {
	return map[string]func() optim.Rule{
		"riemannion": registered(t, "riemannion"), "riemann-sgd": registered(t, "riemann-sgd"),
		"nesterov":          fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Nesterov = true }),
		"three projections": fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Projections = 3 }),
		"adam":              fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Normalize = optim.NormalizeAdam }),
		"paper":             fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Normalize = optim.NormalizePaper }),
	}
}

// pair returns a low-rank point with normal factors times the given sizes, and normal gradients.
func pair(t testing.TB, out, in, r int, sizeA, sizeB float32) *optim.LowRank {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(out), uint64(in)))
	a := optim.Tensor{Name: "layer.lora_A.weight", Value: kernel.New(r, in), Grad: kernel.New(r, in)}
	b := optim.Tensor{Name: "layer.lora_B.weight", Value: kernel.New(out, r), Grad: kernel.New(out, r)}
	for _, f := range []struct {
		x    []float32
		size float32
	}{{a.Value.F32, sizeA}, {b.Value.F32, sizeB}, {a.Grad.F32, 1}, {b.Grad.F32, 1}} {
		for i := range f.x {
			f.x[i] = f.size * float32(rng.NormFloat64())
		}
	}
	p, err := optim.NewLowRank("layer", a, b, 2)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// gramGap returns the largest element of BᵀB - diag(BᵀB), relative to its column lengths, and of AAᵀ - I.
func gramGap(p *optim.LowRank) (b, a float64) {
	out, in, r := p.B().Value.Shape[0], p.A().Value.Shape[1], p.A().Value.Shape[0]
	for j := range r {
		for k := range r {
			var bb, jj, kk, aa float64
			for i := range out {
				x, y := float64(p.B().Value.F32[i*r+j]), float64(p.B().Value.F32[i*r+k])
				bb, jj, kk = bb+x*y, jj+x*x, kk+y*y
			}
			for i := range in {
				aa += float64(p.A().Value.F32[j*in+i]) * float64(p.A().Value.F32[k*in+i])
			}
			if j == k {
				aa--
			} else {
				b = max(b, math.Abs(bb)/math.Sqrt(jj*kk))
			}
			a = max(a, math.Abs(aa))
		}
	}
	return b, a
}

// product returns scale·B·A.
func product(p *optim.LowRank) []float64 {
	out, in, r := p.B().Value.Shape[0], p.A().Value.Shape[1], p.A().Value.Shape[0]
	x := make([]float64, out*in)
	for i := range out {
		for k := range r {
			for j := range in {
				x[i*in+j] += float64(p.Scale) * float64(p.B().Value.F32[i*r+k]) * float64(p.A().Value.F32[k*in+j])
			}
		}
	}
	return x
}

// difference returns ‖x - y‖ over ‖y‖.
func difference(x, y []float64) float64 {
	var d, n float64
	for i := range x {
		d += (x[i] - y[i]) * (x[i] - y[i])
		n += y[i] * y[i]
	}
	return math.Sqrt(d / n)
}

func TestStartInTheCanonicalGaugeIsTheSameMatrix(t *testing.T) {
	for name, rule := range fixedRankRules(t) {
		p := pair(t, 30, 20, 4, 1, 0.1)
		before := product(p)
		mustNew(t, rule(), optim.Config{}, p)
		if e := difference(product(p), before); e > 1e-6 {
			t.Errorf("%s: X changed by %g", name, e)
		}
		if b, a := gramGap(p); b > 1e-6 || a > 1e-6 {
			t.Errorf("%s: factors off the gauge by %g, %g", name, b, a)
		}
	}
}

func TestZeroFactorStartsSmallAndInTheSpanOfTheOther(t *testing.T) {
	p, again := pair(t, 30, 20, 4, 1, 0), pair(t, 30, 20, 4, 1, 0)
	o := mustNew(t, registered(t, "riemannion")(), optim.Config{}, p)
	mustNew(t, registered(t, "riemannion")(), optim.Config{}, again)
	var n float64
	for i, v := range product(p) {
		n += v * v
		if v != product(again)[i] {
			t.Fatal("the start is not deterministic")
		}
	}
	if math.Abs(math.Sqrt(n)/2e-6-1) > 1e-5 { // four singular values of 1e-6
		t.Errorf("norm %g, want 2e-6", math.Sqrt(n))
	}
	mustStep(t, o, 1e-2)
	if b, a := gramGap(p); b > 1e-5 || a > 1e-5 {
		t.Errorf("after a step factors are off the gauge by %g, %g", b, a)
	}
}

// Rounding errors of many steps must not add up: U and V stay orthonormal.
func TestGaugeHoldsOverManySteps(t *testing.T) {
	for name, rule := range fixedRankRules(t) {
		p := pair(t, 64, 48, 4, 1, 0.1)
		o := mustNew(t, rule(), optim.Config{WeightDecay: 0.01}, p)
		rng := rand.New(rand.NewPCG(1, 1))
		for range 2000 {
			for _, tensor := range p.Tensors() {
				for i := range tensor.Grad.F32 {
					tensor.Grad.F32[i] = float32(rng.NormFloat64())
				}
			}
			mustStep(t, o, 1e-3)
		}
		if b, a := gramGap(p); b > 2e-6 || a > 2e-6 {
			t.Errorf("%s: factors off the gauge by %g, %g", name, b, a)
		}
	}
}

// Whatever the point and the gradient, steps stay finite: rank-deficient, tiny and repeated gradients, σ_r = 1e-12, full rank.
func TestFixedRankStepsStayFinite(t *testing.T) {
	for name, rule := range fixedRankRules(t) {
		for _, shape := range [][3]int{{30, 20, 4}, {9, 8, 6}, {4, 4, 4}, {7, 1, 1}, {1, 1, 1}, {5, 12, 4}} {
			for _, size := range []float32{1, 1e-12, 0} {
				for _, gradient := range []float32{1, 1e-20, 1e8, 0} {
					p := pair(t, shape[0], shape[1], shape[2], 1, 0.1)
					r := shape[2]
					for i := r - 1; i < len(p.B().Value.F32); i += r {
						p.B().Value.F32[i] *= size
					}
					for i := range p.A().Grad.F32 {
						p.A().Grad.F32[i] *= gradient
					}
					for i := range p.B().Grad.F32 {
						p.B().Grad.F32[i] = gradient * float32(1+i/r) // rank 1
					}
					o := mustNew(t, rule(), optim.Config{WeightDecay: 0.01, ClipGradNorm: 1}, p)
					for range 40 {
						mustStep(t, o, 1e-2)
					}
					for _, v := range product(p) {
						if math.IsNaN(v) || math.IsInf(v, 0) {
							t.Fatalf("%s: %v, last column times %g, gradient %g: X holds %v", name, shape, size, gradient, v)
						}
					}
				}
			}
		}
	}
}

func TestFixedRankDecayShrinksTheMatrix(t *testing.T) {
	for name, rule := range fixedRankRules(t) {
		p := pair(t, 30, 20, 4, 1, 0.1)
		clear(p.A().Grad.F32)
		clear(p.B().Grad.F32)
		want := product(p)
		o := mustNew(t, rule(), optim.Config{WeightDecay: 0.2}, p)
		for range 8 {
			mustStep(t, o, 0.1)
		}
		for i := range want {
			want[i] *= math.Pow(1-0.1*0.2, 8)
		}
		if e := difference(product(p), want); e > 1e-6 {
			t.Errorf("%s: off by %g", name, e)
		}
	}
}

func TestFixedRankRefusesWhatItCannotMove(t *testing.T) {
	rule := registered(t, "riemannion")()
	if _, err := optim.New(rule, []optim.Point{pair(t, 3, 20, 4, 1, 1)}, optim.Config{}); err == nil ||
		!strings.Contains(err.Error(), "rank 4 of a 3×20 matrix; it must be at most 3") {
		t.Errorf("rank too high: error %v", err)
	}
	p := pair(t, 30, 20, 4, 1, 1)
	p.B().Value.F32[7] = float32(math.NaN())
	if _, err := optim.New(rule, []optim.Point{p}, optim.Config{}); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("NaN in a factor: error %v", err)
	}
	p = pair(t, 30, 20, 4, 1, 1)
	p.Scale = 0
	if _, err := optim.New(rule, []optim.Point{p}, optim.Config{}); err == nil || !strings.Contains(err.Error(), "scale 0") {
		t.Errorf("scale 0: error %v", err)
	}
	p = pair(t, 30, 20, 4, 1, 1)
	p.Tensors()[0].Grad = nil
	if _, err := mustNew(t, rule, optim.Config{}, p).Step(1); err == nil || !strings.Contains(err.Error(), "one factor is frozen") {
		t.Errorf("one factor frozen: error %v", err)
	}
}

func TestFixedRankHyperparametersOutOfRangeAreRefused(t *testing.T) {
	for i, rule := range []func() optim.Rule{
		fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Momentum = 1 }),
		fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Projections = 0 }),
		fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Momentum, r.Nesterov = 0, true }),
		fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.StartSigma = 0 }),
		fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Rest.Eps = -1 }),
		fixedRank(t, "riemannion", func(r *optim.Riemannion) { r.Rest.LRRatio = math.NaN() }),
		fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Momentum = -1 }),
		fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Normalize = "adamw" }),
		fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Beta2 = 1 }),
		fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Eps = math.Inf(1) }),
	} {
		if _, err := optim.New(rule(), []optim.Point{pair(t, 8, 8, 2, 1, 1)}, optim.Config{}); err == nil {
			t.Errorf("%s was accepted", fmt.Sprint(i))
		}
	}
}
