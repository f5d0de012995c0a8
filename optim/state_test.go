package optim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/optim"
)

func TestStateNamesEveryArrayOnceInFixedOrder(t *testing.T) {
	o := mustNew(t, registered(t, "adamw")(), optim.Config{}, lowRank(t, "q"), optim.NewEuclidean(tensor("bias", 1, 2)))
	var got []string
	for _, a := range o.State() {
		got = append(got, fmt.Sprintf("%s %d %d %d", a.Name, len(a.F32), len(a.F64), len(a.I64)))
	}
	want := []string{
		"step 0 0 1",
		"q.lora_A.weight/exp_avg 2 0 0", "q.lora_A.weight/exp_avg_sq 2 0 0", "q.lora_A.weight/step 0 0 1",
		"q.lora_B.weight/exp_avg 3 0 0", "q.lora_B.weight/exp_avg_sq 3 0 0", "q.lora_B.weight/step 0 0 1",
		"bias/exp_avg 2 0 0", "bias/exp_avg_sq 2 0 0", "bias/step 0 0 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("state is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if bytes, want := o.StateBytes(), int64(2*7*4+4*8); bytes != want {
		t.Errorf("%d bytes, want %d", bytes, want)
	}
}

func TestLoadTakesArraysInAnyOrder(t *testing.T) {
	x, y := tensor("x", 1, 2), tensor("x", 1, 2)
	a := mustNew(t, registered(t, "adamw")(), optim.Config{}, optim.NewEuclidean(x))
	b := mustNew(t, registered(t, "adamw")(), optim.Config{}, optim.NewEuclidean(y))
	x.Grad.F32[0], y.Grad.F32[0] = 1, 1
	mustStep(t, a, 0.1)
	copy(y.Value.F32, x.Value.F32)
	saved := a.State()
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(saved), func(i, j int) { saved[i], saved[j] = saved[j], saved[i] })
	if err := b.Load(saved); err != nil {
		t.Fatal(err)
	}
	if s := mustStep(t, b, 0.1); s.Step != 2 {
		t.Errorf("continued with step %d, want 2", s.Step)
	}
	mustStep(t, a, 0.1)
	if !slices.Equal(x.Value.F32, y.Value.F32) {
		t.Errorf("continued to %v, want %v", y.Value.F32, x.Value.F32)
	}
}

func TestLoadRefusesForeignStateAndChangesNothing(t *testing.T) {
	fresh := func() *optim.Optimizer {
		return mustNew(t, registered(t, "adamw")(), optim.Config{}, optim.NewEuclidean(tensor("x", 1, 2)))
	}
	for _, c := range []struct {
		name string
		edit func(saved []optim.Array) []optim.Array
		want string
	}{
		{"missing", func(s []optim.Array) []optim.Array { return s[:len(s)-1] }, `lacks "x/step"`},
		{"unknown", func(s []optim.Array) []optim.Array {
			return append(s, optim.Array{Name: "y/exp_avg", F32: []float32{1}})
		}, `"y/exp_avg"`},
		{"repeated", func(s []optim.Array) []optim.Array { return append(s, s[1]) }, `"x/exp_avg" occurs twice`},
		{"size", func(s []optim.Array) []optim.Array { s[1].F32 = s[1].F32[:1]; return s }, "holds 1 float32, expected 2 float32"},
		{"kind", func(s []optim.Array) []optim.Array { s[0].I64, s[0].F64 = nil, []float64{3}; return s }, "holds 1 float64, expected 1 int64"},
		{"two kinds", func(s []optim.Array) []optim.Array { s[1].F64 = []float64{3, 4}; return s }, "holds 2 float32 and 2 float64"},
	} {
		source, target := fresh(), fresh()
		mustStep(t, source, 0.1)
		err := target.Load(c.edit(slices.Clone(source.State())))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one about %s", c.name, err, c.want)
		}
		if target.Steps() != 0 {
			t.Errorf("%s: the refused state was loaded in part", c.name)
		}
	}
}
