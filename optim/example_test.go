package optim_test

import (
	"fmt"
	"log"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// Minimise ½‖x - 1‖² with momentum, a warm-up and clipped gradients.
func Example() {
	x := optim.Tensor{Name: "x", Value: kernel.New(2), Grad: kernel.New(2)}
	rule, err := optim.NewRule("sgd")
	if err != nil {
		log.Fatal(err)
	}
	schedule, err := optim.NewSchedule("linear", 5, 100)
	if err != nil {
		log.Fatal(err)
	}
	o, err := optim.New(rule, []optim.Point{optim.NewEuclidean(x)}, optim.Config{ClipGradNorm: 1})
	if err != nil {
		log.Fatal(err)
	}
	for k := range 100 {
		for i, v := range x.Value.F32 {
			x.Grad.F32[i] = v - 1
		}
		if _, err := o.Step(0.2 * schedule(k)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%.2f after %d steps\n", x.Value.F32, o.Steps())
	// Output: [1.00 1.00] after 100 steps
}

// LoRA+ trains the factor B at a higher learning rate than A: one group.
func ExampleGroup() {
	a := optim.Tensor{Name: "layer.lora_A.weight", Value: kernel.New(2, 4), Grad: kernel.New(2, 4)}
	b := optim.Tensor{Name: "layer.lora_B.weight", Value: kernel.New(3, 2), Grad: kernel.New(3, 2)}
	layer, err := optim.NewLowRank("layer", a, b, 2)
	if err != nil {
		log.Fatal(err)
	}
	o, err := optim.New(&optim.SGD{}, []optim.Point{layer}, optim.Config{
		Groups: []optim.Group{{Match: "*lora_B*", LRMultiplier: new(16.0)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	a.Grad.F32[0], b.Grad.F32[0] = 1, 1
	if _, err := o.Step(0.01); err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Value.F32[0], b.Value.F32[0])
	// Output: -0.01 -0.16
}

// An unknown name is answered with the known ones.
func ExampleNewSchedule() {
	_, err := optim.NewSchedule("cosin", 10, 100)
	fmt.Println(err)
	// Output: optim: unknown schedule "cosin"; known are constant, cosine, linear; did you mean cosine?
}
