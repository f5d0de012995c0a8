package optim_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// The literal paths below start at start and get one of grads a step. They were computed from the formulas in the documentation of
// torch.optim.AdamW and torch.optim.SGD in decimal arithmetic of 50 digits.
var (
	start = []float32{1, -0.5, 2}
	grads = [][]float32{{0.5, -0.25, 1}, {0.25, 0.75, -1}, {-0.125, 0, 0.5}, {0.5, 0.5, -2}}
)

var literalPaths = []struct {
	name      string
	rule      optim.Rule
	lr, decay float64
	want      [][]float64
}{
	{"adamw", adamw(0.9, 0.999, 1e-8), 0.1, 0, [][]float64{
		{0.900000002, -0.400000004, 1.900000001},
		{0.8067820405, -0.4494189864, 1.905263159},
		{0.7504159045, -0.487620003, 1.887790606},
		{0.6774077123, -0.5451445104, 1.925719341},
	}},
	{"adamw with decay", adamw(0.9, 0.999, 1e-8), 0.1, 0.1, [][]float64{
		{0.890000002, -0.395000004, 1.880000001},
		{0.7878820405, -0.4404689864, 1.866463159},
		{0.7236370841, -0.4742653131, 1.830325974},
		{0.6433925211, -0.5270471674, 1.84995145},
	}},
	{"adamw with large eps", adamw(0.8, 0.95, 0.1), 0.05, 0.01, [][]float64{
		{0.9578333333, -0.4640357143, 1.953545455},
		{0.9206734499, -0.4867874274, 1.957619187},
		{0.9011515664, -0.5027870545, 1.949371729},
		{0.8719045652, -0.5279590509, 1.969738097},
	}},
	{"sgd with decay", &optim.SGD{}, 0.1, 0.1, [][]float64{
		{0.94, -0.47, 1.88},
		{0.9056, -0.5403, 1.9612},
		{0.909044, -0.534897, 1.891588},
		{0.84995356, -0.57954803, 2.07267212},
	}},
	{"sgd with momentum", &optim.SGD{Momentum: 0.9}, 0.1, 0, [][]float64{
		{0.95, -0.475, 1.9},
		{0.88, -0.5275, 1.91},
		{0.8295, -0.57475, 1.869},
		{0.73405, -0.667275, 2.0321},
	}},
	{"sgd with momentum and decay", &optim.SGD{Momentum: 0.9}, 0.1, 0.1, [][]float64{
		{0.94, -0.47, 1.88},
		{0.8516, -0.5133, 1.8532},
		{0.776024, -0.547137, 1.760548},
		{0.65024536, -0.62211893, 1.85955572},
	}},
	{"sgd with dampening", &optim.SGD{Momentum: 0.9, Dampening: 0.25}, 0.1, 0.1, [][]float64{
		{0.94, -0.47, 1.88},
		{0.8602, -0.495725, 1.8329},
		{0.7913035, -0.5151595625, 1.73926325},
		{0.6858618737, -0.566286972, 1.791945701},
	}},
	{"sgd with nesterov", &optim.SGD{Momentum: 0.9, Nesterov: true}, 0.1, 0.1, [][]float64{
		{0.886, -0.443, 1.772},
		{0.773066, -0.552783, 1.831132},
		{0.710961146, -0.577571823, 1.680507292},
		{0.5422661096, -0.6888829461, 1.954495604},
	}},
}

func adamw(beta1, beta2, eps float64) *optim.AdamW {
	return &optim.AdamW{Betas: [2]float64{beta1, beta2}, Eps: eps}
}

func TestRulesFollowTorchDefinitions(t *testing.T) {
	for _, c := range literalPaths {
		t.Run(c.name, func(t *testing.T) {
			x := tensor("x", start...)
			o := mustNew(t, c.rule, optim.Config{WeightDecay: c.decay}, optim.NewEuclidean(x))
			for k, g := range grads {
				copy(x.Grad.F32, g)
				mustStep(t, o, c.lr)
				for i, want := range c.want[k] {
					if got := float64(x.Value.F32[i]); math.Abs(got-want) > 1e-6*math.Abs(want) {
						t.Fatalf("step %d: element %d is %.9g, want %.9g", k+1, i, got, want)
					}
				}
			}
		})
	}
}

// Under a constant gradient both corrected averages are exact from the first step on, so that AdamW moves by lr a step whatever the
// size of the gradient.
func TestAdamWBiasCorrectionMakesEveryStepAsLongAsTheFirst(t *testing.T) {
	x := tensor("x", 0, 0, 0)
	o := mustNew(t, adamw(0.9, 0.999, 0), optim.Config{}, optim.NewEuclidean(x))
	for k := 1; k <= 50; k++ {
		copy(x.Grad.F32, []float32{1e-6, -3, 1e4})
		mustStep(t, o, 0.01)
		for i, sign := range []float64{-1, 1, -1} {
			if got, want := float64(x.Value.F32[i]), sign*0.01*float64(k); math.Abs(got-want) > 1e-4*math.Abs(want) {
				t.Fatalf("step %d: element %d is %v, want %v", k, i, got, want)
			}
		}
	}
}

// Long vectors are cut into chunks; each element must move as it would alone.
func TestElementsMoveIndependentlyOfTheirNeighbours(t *testing.T) {
	const n = 50_001
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range literalPaths {
		long := optim.Tensor{Name: "long", Value: kernel.New(n), Grad: kernel.New(n)}
		o := mustNew(t, c.rule, optim.Config{WeightDecay: c.decay}, optim.NewEuclidean(long))
		probes := []int{0, 1 << 14, 1<<14 - 1, 33333, n - 1}
		alone := tensor("alone", make([]float32, len(probes))...)
		one := mustNew(t, c.rule, optim.Config{WeightDecay: c.decay}, optim.NewEuclidean(alone))
		for range 3 {
			for i := range long.Grad.F32 {
				long.Grad.F32[i] = float32(rng.NormFloat64())
			}
			for i, p := range probes {
				alone.Grad.F32[i] = long.Grad.F32[p]
			}
			mustStep(t, o, c.lr)
			mustStep(t, one, c.lr)
		}
		for i, p := range probes {
			if long.Value.F32[p] != alone.Value.F32[i] {
				t.Errorf("%s: element %d of the long vector is %v, alone it is %v", c.name, p, long.Value.F32[p], alone.Value.F32[i])
			}
		}
	}
}

func TestHyperparametersOutOfRangeAreRefused(t *testing.T) {
	nan := math.NaN()
	for _, rule := range []optim.Rule{
		adamw(1, 0.999, 1e-8), adamw(0.9, -0.1, 1e-8), adamw(nan, 0.999, 1e-8), adamw(0.9, 0.999, -1), adamw(0.9, 0.999, nan),
		&optim.SGD{Momentum: 1}, &optim.SGD{Momentum: -0.1}, &optim.SGD{Momentum: nan}, &optim.SGD{Dampening: 1.5},
		&optim.SGD{Nesterov: true}, &optim.SGD{Momentum: 0.9, Dampening: 0.1, Nesterov: true},
	} {
		if _, err := optim.New(rule, []optim.Point{optim.NewEuclidean(tensor("x", 1))}, optim.Config{}); err == nil {
			t.Errorf("%+v was accepted", rule)
		}
	}
}

func TestDefaultsOfRegisteredRules(t *testing.T) {
	for name, want := range map[string]optim.Hyper{"adamw": {LR: 2e-4, WeightDecay: 0.01}, "sgd": {LR: 0.1}} {
		if got := registered(t, name)().Defaults(); got != want {
			t.Errorf("%s: defaults %+v, want %+v", name, got, want)
		}
	}
}

// tensor returns a trainable vector with the given values and a zero gradient.
func tensor(name string, values ...float32) optim.Tensor {
	return optim.Tensor{Name: name, Value: kernel.FromF32(append([]float32(nil), values...), len(values)), Grad: kernel.New(len(values))}
}

func mustNew(tb testing.TB, rule optim.Rule, c optim.Config, points ...optim.Point) *optim.Optimizer {
	tb.Helper()
	o, err := optim.New(rule, points, c)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func mustStep(tb testing.TB, o *optim.Optimizer, lr float64) optim.Stats {
	tb.Helper()
	stats, err := o.Step(lr)
	if err != nil {
		tb.Fatal(err)
	}
	return stats
}
