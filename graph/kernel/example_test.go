package kernel_test

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel"
)

// A kernel is planned once for the shapes of its inputs; the caller then owns all memory that it runs in.
func ExampleRMSNorm() {
	k := kernel.RMSNorm{Eps: 1e-6}
	x := kernel.FromF32([]float32{3, 4, -6, 8}, 2, 2)
	w := kernel.FromF32([]float32{1, 2}, 2)
	plan, err := k.Plan([]kernel.Spec{x.Spec(), w.Spec()}, []bool{true, true})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := kernel.Call{
		X: []*kernel.Tensor{x, w}, Y: kernel.New(plan.Out...),
		DY: kernel.FromF32([]float32{1, 1, 1, 1}, 2, 2), DX: []*kernel.Tensor{kernel.New(2, 2), kernel.New(2)},
		Saved: make([]float32, plan.Saved), Scratch: make([]float32, max(plan.ForwardScratch, plan.BackwardScratch)),
	}
	k.Forward(&c)
	k.Backward(&c)
	fmt.Printf("y  %.3f\n", c.Y.F32)
	fmt.Printf("dw %.3f\n", c.DX[1].F32)
	// Output:
	// y  [0.849 2.263 -0.849 2.263]
	// dw [0.000 2.263]
}

// Two documents packed into one row: the third token, first of its document, sees only itself.
func ExampleAttention() {
	k := kernel.Attention{Heads: 1, KVHeads: 1, Dim: 1, Scale: 1, Causal: true}
	q, key := kernel.New(1, 3, 1), kernel.New(1, 3, 1) // all scores equal: means of what is visible
	v := kernel.FromF32([]float32{2, 4, 9}, 1, 3, 1)
	segments := &kernel.Tensor{DType: kernel.I32, Shape: kernel.Shape{1, 3}, I32: []int32{1, 1, 2}}
	y := kernel.New(1, 3, 1)
	k.Forward(&kernel.Call{X: []*kernel.Tensor{q, key, v, segments}, Y: y})
	fmt.Println(y.F32)
	// Output: [2 3 9]
}
