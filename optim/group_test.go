package optim_test

import (
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// moved returns how far each tensor of points goes in one step of plain SGD at rate 1 from value 1 under gradient 1: multiplier·(1 + decay).
func moved(t *testing.T, c optim.Config, points ...optim.Point) map[string]float32 {
	t.Helper()
	o := mustNew(t, &optim.SGD{}, c, points...)
	for _, p := range points {
		for _, tensor := range p.Tensors() {
			tensor.Value.F32[0], tensor.Grad.F32[0] = 1, 1
		}
	}
	mustStep(t, o, 1)
	way := map[string]float32{}
	for _, p := range points {
		for _, tensor := range p.Tensors() {
			way[tensor.Name] = 1 - tensor.Value.F32[0]
		}
	}
	return way
}

func TestGroupsApplyInOrderFieldByField(t *testing.T) {
	got := moved(t, optim.Config{WeightDecay: 0.5, Groups: []optim.Group{
		{Match: "q.*", LRMultiplier: new(2.0)},
		{Match: "*lora_B*", LRMultiplier: new(4.0), WeightDecay: new(0.0)},
		{Match: "norm", WeightDecay: new(1.0)},
	}}, lowRank(t, "q"), lowRank(t, "v"), optim.NewEuclidean(tensor("norm", 1)))
	for name, want := range map[string]float32{
		"q.lora_A.weight": 2 * 1.5, "q.lora_B.weight": 4, "v.lora_A.weight": 1.5, "v.lora_B.weight": 4, "norm": 2,
	} {
		if got[name] != want {
			t.Errorf("%s moved by %v, want %v", name, got[name], want)
		}
	}
}

func TestDecayMatricesOnlySparesVectorsUnlessAGroupDecaysThem(t *testing.T) {
	matrix := optim.Tensor{Name: "w", Value: kernel.New(1, 1), Grad: kernel.New(1, 1)}
	got := moved(t, optim.Config{WeightDecay: 1, DecayMatricesOnly: true, Groups: []optim.Group{
		{Match: "asked", WeightDecay: new(3.0)},
	}}, optim.NewEuclidean(matrix), optim.NewEuclidean(tensor("bias", 1)), optim.NewEuclidean(tensor("asked", 1)))
	if got["w"] != 2 || got["bias"] != 1 || got["asked"] != 4 {
		t.Errorf("moved by %v, want w 2, bias 1, asked 4", got)
	}
}

func TestDecayIsOnEverythingByDefault(t *testing.T) {
	if got := moved(t, optim.Config{WeightDecay: 1}, optim.NewEuclidean(tensor("bias", 1))); got["bias"] != 2 {
		t.Errorf("bias moved by %v, want 2", got["bias"])
	}
}

func TestGroupsThatCannotApplyAreErrors(t *testing.T) {
	for _, c := range []struct {
		group optim.Group
		want  string
	}{
		{optim.Group{Match: "lora_C"}, `group 1: pattern "lora_C" matches nothing; there are q.lora_A.weight, q.lora_B.weight`},
		{optim.Group{Match: "q.[", LRMultiplier: new(1.0)}, `group 1: pattern "q.["`},
		{optim.Group{Match: "*", LRMultiplier: new(-1.0)}, `lr_multiplier -1`},
		{optim.Group{Match: "*", WeightDecay: new(-1.0)}, `weight_decay -1`},
	} {
		_, err := optim.New(&optim.SGD{}, []optim.Point{lowRank(t, "q")}, optim.Config{Groups: []optim.Group{c.group}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one about %s", err, c.want)
		}
	}
	// A rule that moves the point as a whole knows only the point's name.
	_, err := optim.New(tangent{}, []optim.Point{lowRank(t, "q")}, optim.Config{Groups: []optim.Group{{Match: "*lora_B*"}}})
	if err == nil || !strings.Contains(err.Error(), "there are q") {
		t.Errorf("error %v, want one that lists q", err)
	}
}
