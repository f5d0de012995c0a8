package adapters_test

import (
	"fmt"

	"github.com/geotune/geotune/adapters"
)

// A LoRA adapter of rank 2 on the query projections, and what the optimizer gets.
func ExampleAttach() {
	m := newFake(fakeOptions{})
	a, err := adapters.Attach(m, adapters.Config{Rank: 2, Alpha: 4, Targets: []string{"q_proj"}}, 1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range a.Points() {
		fmt.Printf("%s: %T\n", p.Name(), p)
	}
	for _, t := range a.Trainables()[:2] {
		fmt.Println(t.Key, t.Param.Value.Shape)
	}
	fmt.Println(a.Size(), "trained values")
	// Output:
	// model.layers.0.self_attn.q_proj: *optim.LowRank
	// model.layers.1.self_attn.q_proj: *optim.LowRank
	// base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight 2x8
	// base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight 8x2
	// 64 trained values
}

// The locally optimal start of a model of two linear layers: the gradient at its weights in four passes over all of the data.
func ExampleAdapter_StartFromGradient() {
	m := newRegression(false, true)
	a, err := adapters.Attach(m, adapters.Config{Rank: 2, Init: adapters.Init{Name: "loi"}}, 1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	start, err := a.StartFromGradient(m.compile([2]int{0, regressionRows}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range start.Layers {
		fmt.Printf("%s: %.0f %% of the gradient's energy captured by %d of its directions\n", l.Module, 100*l.Captured, l.Used)
	}
	fmt.Println(start.Passes, "passes")
	// Output:
	// layers.0.fit: 100 % of the gradient's energy captured by 4 of its directions
	// layers.1.fit: 100 % of the gradient's energy captured by 4 of its directions
	// 4 passes
}

// Folding an adapter into the weights takes it off the model.
func ExampleFuse() {
	m := newFake(fakeOptions{})
	a, err := adapters.Attach(m, adapters.Config{Rank: 2, Targets: []string{"0.self_attn.q_proj"}}, 1, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := a.Trainables()[1].Param.Value
	b.F32[0] = 1 // one entry of B: the update is the first row of A
	report, err := adapters.Fuse(a)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range report.Changed {
		fmt.Printf("%s changed: %v\n", c.Name, c.MaxDelta > 0)
	}
	// Output:
	// model.layers.0.self_attn.q_proj.weight changed: true
}

// A mistyped name gets a proposal.
func ExampleConfig_Validate() {
	err := adapters.Config{Type: "lora", Init: adapters.Init{Name: "orthgonal"}}.Validate()
	fmt.Println(err)
	// Output:
	// adapters: unknown init "orthgonal"; known are default, gaussian, loi, lora_ga, lora_one, milora, olora, orthogonal, pissa, stiefel_a, stiefel_b, stiefel_both; did you mean orthogonal?
}
