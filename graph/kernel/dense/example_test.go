package dense_test

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/dense"
)

// A stack of blocks becomes one of rotations, and back.
func ExampleCayley() {
	a := dense.StackOf([]float32{0, 1, 0, 0, 0, 0, 2, 0}, 2, 2, 2) // skew parts ±1/2 and ∓1
	q := dense.StackOf(make([]float32, 8), 2, 2, 2)
	dense.Cayley(a, q)
	fmt.Printf("%.2f\n", q.Data)
	if err := dense.InverseCayley(q, q); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%.2f\n", q.Data)
	// Output:
	// [0.60 0.80 -0.80 0.60 0.00 -1.00 1.00 0.00]
	// [0.00 0.50 -0.50 0.00 0.00 -1.00 1.00 0.00]
}
