package optim_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

func TestClippingScalesAllGradientsByOneFactor(t *testing.T) {
	a, b := tensor("a", 0, 0), tensor("b", 0)
	o := mustNew(t, &optim.SGD{}, optim.Config{ClipGradNorm: 2.5}, optim.NewEuclidean(a), optim.NewEuclidean(b))
	copy(a.Grad.F32, []float32{3, 0})
	b.Grad.F32[0] = -4
	stats := mustStep(t, o, 1)
	if stats.GradNorm != 5 || math.Abs(stats.ClipScale-0.5) > 1e-6 {
		t.Errorf("norm %v, scale %v; want 5 before clipping and 0.5", stats.GradNorm, stats.ClipScale)
	}
	c := float32(2.5 / (5 + 1e-6)) // as torch.nn.utils.clip_grad_norm_
	if a.Grad.F32[0] != 3*c || b.Grad.F32[0] != -4*c || a.Value.F32[0] != -3*c || b.Value.F32[0] != 4*c {
		t.Errorf("gradients %v %v, values %v %v", a.Grad.F32, b.Grad.F32, a.Value.F32, b.Value.F32)
	}
}

func TestClippingLeavesShortGradientsAlone(t *testing.T) {
	for _, bound := range []float64{0, 5.1, 1e9} {
		a := tensor("a", 0, 0)
		o := mustNew(t, &optim.SGD{}, optim.Config{ClipGradNorm: bound}, optim.NewEuclidean(a))
		copy(a.Grad.F32, []float32{3, 4})
		stats := mustStep(t, o, 1)
		if stats.GradNorm != 5 || stats.ClipScale != 1 || a.Grad.F32[0] != 3 || a.Grad.F32[1] != 4 {
			t.Errorf("bound %v: norm %v, scale %v, gradient %v", bound, stats.GradNorm, stats.ClipScale, a.Grad.F32)
		}
	}
}

// Long gradients are summed in chunks; 2² adds up exactly.
func TestGradNormCountsEveryElementOnce(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 1<<14 - 1, 1 << 14, 1<<14 + 1, 50_003} {
		x := optim.Tensor{Name: "x", Value: kernel.New(n), Grad: kernel.New(n)}
		for i := range x.Grad.F32 {
			x.Grad.F32[i] = 2
		}
		o := mustNew(t, &optim.SGD{}, optim.Config{ClipGradNorm: 1}, optim.NewEuclidean(x))
		want := math.Sqrt(4 * float64(n))
		if stats := mustStep(t, o, 1); stats.GradNorm != want {
			t.Errorf("%d elements: norm %v, want %v", n, stats.GradNorm, want)
		}
		clipped := 2 * float32(1/(want+1e-6))
		for i, g := range x.Grad.F32 {
			if g != clipped {
				t.Fatalf("%d elements: element %d was clipped to %v, want %v", n, i, g, clipped)
			}
		}
	}
}

func TestGradNormOfHugeGradientsIsFinite(t *testing.T) {
	a := tensor("a", 0, 0)
	o := mustNew(t, &optim.SGD{}, optim.Config{ClipGradNorm: 1}, optim.NewEuclidean(a))
	copy(a.Grad.F32, []float32{3e38, 0})
	if stats := mustStep(t, o, 1); math.Abs(stats.GradNorm/3e38-1) > 1e-6 || math.Abs(float64(a.Value.F32[0])+1) > 1e-6 {
		t.Errorf("norm %v, value %v", stats.GradNorm, a.Value.F32[0])
	}
}

func TestNonFiniteGradientIsRefusedBeforeAnythingMoves(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		a, b := tensor("a", 1, 1), tensor("b", 1, 1, 1)
		o := mustNew(t, registered(t, "adamw")(), optim.Config{ClipGradNorm: 1}, optim.NewEuclidean(a), optim.NewEuclidean(b))
		copy(a.Grad.F32, []float32{1, 1})
		mustStep(t, o, 0.1)
		value := a.Value.F32[0]
		b.Grad.F32[2] = bad
		_, err := o.Step(0.1)
		var nonFinite *optim.NonFiniteError
		if want := fmt.Sprintf("step 2: gradient of \"b\" is %v at element 2", bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
		if !errors.As(err, &nonFinite) || nonFinite.Step != 2 || nonFinite.Tensor != "b" || nonFinite.Index != 2 {
			t.Fatalf("gradient %v: error %v; want step 2, tensor b, element 2", bad, err)
		}
		if a.Value.F32[0] != value || b.Value.F32[0] != 1 || a.Grad.F32[0] == 0 || o.Steps() != 1 {
			t.Errorf("gradient %v: the refused step left values %v %v after %d steps", bad, a.Value.F32, b.Value.F32, o.Steps())
		}
	}
}

func TestLearningRateOutOfRangeIsRefused(t *testing.T) {
	o := mustNew(t, &optim.SGD{}, optim.Config{}, optim.NewEuclidean(tensor("x", 1)))
	for _, lr := range []float64{-1e-9, math.NaN(), math.Inf(1)} {
		if _, err := o.Step(lr); err == nil || o.Steps() != 0 {
			t.Errorf("learning rate %v: error %v after %d steps", lr, err, o.Steps())
		}
	}
}

func TestNewRefusesWhatItCannotMove(t *testing.T) {
	x := tensor("x", 1, 2)
	half := optim.Tensor{Name: "half", Value: &kernel.Tensor{DType: kernel.BF16, Shape: kernel.Shape{2}, U16: make([]uint16, 2)}}
	misfit := optim.Tensor{Name: "misfit", Value: kernel.New(2, 3), Grad: kernel.New(3, 2)}
	other := tensor("x", 3)
	alias := optim.Tensor{Name: "alias", Value: kernel.FromF32(x.Value.F32, 2), Grad: x.Grad}
	for _, c := range []struct {
		tensors []optim.Tensor
		config  optim.Config
		want    string
	}{
		{[]optim.Tensor{half}, optim.Config{}, `tensor "half": type BF16; trained tensors are F32`},
		{[]optim.Tensor{misfit}, optim.Config{}, `tensor "misfit": value F32 of shape 2x3, gradient F32 of shape 3x2`},
		{[]optim.Tensor{{Name: "none", Value: kernel.New(0)}}, optim.Config{}, `tensor "none": no values`},
		{[]optim.Tensor{{Name: "unset"}}, optim.Config{}, `tensor "unset": no value`},
		{[]optim.Tensor{x, other}, optim.Config{}, `two points are called "x"`},
		{[]optim.Tensor{x, alias}, optim.Config{}, `tensors "x" and "alias" are the same memory`},
		{[]optim.Tensor{x}, optim.Config{WeightDecay: -1}, "weight decay -1"},
		{[]optim.Tensor{x}, optim.Config{ClipGradNorm: math.NaN()}, "gradient norm bound NaN"},
	} {
		var points []optim.Point
		for _, tensor := range c.tensors {
			points = append(points, optim.NewEuclidean(tensor))
		}
		if _, err := optim.New(&optim.SGD{}, points, c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one about %s", err, c.want)
		}
	}
}

func TestFrozenTensorOfALowRankPointRests(t *testing.T) {
	p := lowRank(t, "layer")
	a, b := p.A(), p.B()
	p.Tensors()[0].Grad = nil
	o := mustNew(t, &optim.SGD{}, optim.Config{WeightDecay: 1}, p)
	b.Grad.F32[0] = 1
	mustStep(t, o, 0.5)
	if a.Value.F32[0] != 1 || b.Value.F32[0] != 0 { // 1 - 0.5·(1 + 1·1)
		t.Errorf("frozen A moved to %v or trained B to %v", a.Value.F32[0], b.Value.F32[0])
	}
}

func TestNewLowRankChecksShapes(t *testing.T) {
	named := func(name string, shape ...int) optim.Tensor {
		return optim.Tensor{Name: name, Value: kernel.New(shape...)}
	}
	if _, err := optim.NewLowRank("layer", named("A", 2, 5), named("B", 4, 3), 1); err == nil ||
		!strings.Contains(err.Error(), `"A" of shape 2x5 and "B" of shape 4x3`) {
		t.Errorf("mismatched ranks: error %v", err)
	}
	if _, err := optim.NewLowRank("layer", named("A", 5), named("B", 4, 5), 1); err == nil {
		t.Error("a vector passed as a factor")
	}
	if _, err := optim.NewLowRank("layer", optim.Tensor{Name: "A"}, named("B", 4, 5), 1); err == nil {
		t.Error("a factor without a value passed")
	}
}

// tangent takes low-rank points as a whole, measures their gradients in its own way, and moves nothing.
type tangent struct{}

func (tangent) Defaults() optim.Hyper             { return optim.Hyper{} }
func (tangent) Split(p optim.Point) []optim.Point { return []optim.Point{p} }
func (tangent) Init(optim.Point) (*optim.State, error) {
	return &optim.State{Scalars: map[string]float64{"travelled": 0}}, nil
}
func (tangent) SquaredNorm(optim.Point, *optim.State) float64 { return 16 }
func (tangent) Step(p optim.Point, s *optim.State, h optim.Hyper) error {
	if _, ok := p.(*optim.LowRank); !ok {
		return errors.New("not a low-rank point")
	}
	s.Scalars["travelled"] += h.LR
	return nil
}

func TestRuleMayMoveAPointAsAWholeAndMeasureItsGradient(t *testing.T) {
	p := lowRank(t, "layer")
	o := mustNew(t, tangent{}, optim.Config{ClipGradNorm: 2}, p)
	stats := mustStep(t, o, 0.25)
	if stats.GradNorm != 4 || math.Abs(stats.ClipScale-0.5) > 1e-6 {
		t.Errorf("norm %v, scale %v; want the rule's own 4 and 0.5", stats.GradNorm, stats.ClipScale)
	}
	state := o.State()
	if last := state[len(state)-1]; last.Name != "layer/travelled" || last.F64[0] != 0.25 {
		t.Errorf("state %+v; want layer/travelled 0.25", last)
	}
}

func TestErrorOfARuleNamesStepAndPoint(t *testing.T) {
	o := mustNew(t, tangent{}, optim.Config{}, optim.NewEuclidean(tensor("bias", 1)))
	if _, err := o.Step(1); err == nil || err.Error() != `optim: step 1 of "bias": not a low-rank point` {
		t.Errorf("error %v", err)
	}
}

// lowRank returns a 3×2 point of rank 1 with all factors' entries 1 and zero gradients.
func lowRank(t *testing.T, name string) *optim.LowRank {
	t.Helper()
	a := optim.Tensor{Name: name + ".lora_A.weight", Value: kernel.FromF32([]float32{1, 1}, 1, 2), Grad: kernel.New(1, 2)}
	b := optim.Tensor{Name: name + ".lora_B.weight", Value: kernel.FromF32([]float32{1, 1, 1}, 3, 1), Grad: kernel.New(3, 1)}
	p, err := optim.NewLowRank(name, a, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
