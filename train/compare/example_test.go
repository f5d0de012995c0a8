package compare_test

import (
	"fmt"

	"github.com/geotune/geotune/train/compare"
)

// A comparison names a training config and what its variants change. Mistakes are reported with their place, and variants cannot
// change what all must share.
func ExampleParse() {
	_, err := compare.Parse("rules.yaml", []byte(`
base: builtin:quickstart.yaml
variants:
- {name: adamw, lr: [2e-3, 4e-3]}
- {name: muon, set: {optimizer.name: mun}, lr: [1e-2, 2e-2]}
seeds: [1, 2]
`), nil)
	fmt.Println(err != nil)

	_, err = compare.Parse("rules.yaml", []byte(`
base: builtin:quickstart.yaml
variants:
- {name: adamw, lr: [2e-3, 4e-3]}
- {name: muon, set: {optimizer.name: muon, data.pack: true}}
baseline: adam
`), nil)
	fmt.Println(err)

	plan, err := compare.Parse("rules.yaml", []byte(`
base: builtin:quickstart.yaml
variants:
- {name: adamw, lr: [2e-3, 4e-3]}
- {name: muon, set: {optimizer.name: muon}, lr: [1e-2, 2e-2]}
`), []string{"set.train.steps=50"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Out())
	// Output:
	// true
	// rules.yaml:5:55: variants[1].set.data.pack: variants train on the same model, data and batches and may differ in optimizer, adapter, schedule, train.clip_grad_norm, train.checkpointing only; for all variants, write it under set
	// rules.yaml:6:11: baseline: unknown variant "adam"; known are adamw, muon; did you mean adamw?
	// runs/rules
}
