package train_test

import (
	"fmt"

	"github.com/geotune/geotune/train"
)

// A config is strict: every mistake is reported with its place.
func ExampleParseConfig() {
	_, err := train.ParseConfig("run.yaml", []byte(`
model: {path: models/llama}
data: {train: pairs.jsonl}
optimizer: {name: sgd, momentm: 0.5}
train: {steps: 100.5}
`), nil)
	fmt.Println(err)

	c, err := train.ParseConfig("run.yaml", []byte(`
model: {path: models/llama}
data: {train: pairs.jsonl}
train: {steps: 100}
`), []string{"optimizer.lr=1e-4", "adapter.rank=16"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Optimizer.Name, c.Optimizer.LR, c.Adapter.Type, c.Adapter.Rank, c.Out)
	// Output:
	// run.yaml:4:24: optimizer.momentm: unknown key; did you mean momentum?
	// run.yaml:5:16: train.steps: 100.5 is not an integer
	// adamw 0.0001 lora 16 runs/run
}
