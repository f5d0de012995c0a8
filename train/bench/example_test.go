package bench_test

import (
	"context"
	"fmt"

	"github.com/geotune/geotune/train/bench"
)

// The optimizer's share of a step, whatever it does: momentum, transport and retraction of Riemannion included.
func ExampleStep() {
	r, err := bench.Step(context.Background(), bench.StepOptions{
		Preset: "llama-tiny", Adapter: bench.LoRA, DType: "bfloat16", Threads: 1, Steps: 1,
		Sets: []string{"optimizer.name=riemannion", "train.batch=1", "data.max_length=16"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Optimizer, r.Trained, 0 < r.OptimizerShare && r.OptimizerShare < 1)
	// Output: riemannion 114688 true
}
