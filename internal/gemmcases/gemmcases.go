// Package gemmcases lists the matrix products that benchmarks measure, the same that rival libraries are measured on.
package gemmcases

import "fmt"

// Case is Batch independent products of an M×K and a K×N matrix.
type Case struct {
	Kind  string `json:"kind"` // what it occurs in
	Batch int    `json:"batch"`
	M     int    `json:"m"`
	K     int    `json:"k"`
	N     int    `json:"n"`
	// Layout says how operands are stored: NN as they are; NT the right one as N×K, as in y = x·Wᵀ; TN the left one as K×M, as in the
	// gradient of a weight.
	Layout string `json:"layout"`
}

// String names the case, e.g. "layer/1x512x2048x2048/NT".
func (c Case) String() string {
	return fmt.Sprintf("%s/%dx%dx%dx%d/%s", c.Kind, c.Batch, c.M, c.K, c.N, c.Layout)
}

// Operations returns the number of floating-point operations; a multiply-add is 2.
func (c Case) Operations() float64 {
	return 2 * float64(c.Batch) * float64(c.M) * float64(c.K) * float64(c.N)
}

// All returns the cases: squares, layers of models, the thin products of LoRA, attention, and stacks of the small blocks of orthogonal
// adapters.
func All() []Case {
	var cases []Case
	add := func(kind string, batch, m, k, n int, layouts ...string) {
		for _, l := range layouts {
			cases = append(cases, Case{kind, batch, m, k, n, l})
		}
	}
	for _, n := range []int{64, 128, 256, 512, 1024, 2048} {
		add("square", 1, n, n, n, "NN")
	}
	add("layer", 1, 512, 2048, 2048, "NN", "NT", "TN")
	add("layer", 1, 1024, 768, 2304, "NT", "NN")
	add("head", 1, 1024, 768, 50257, "NT")
	for _, d := range []int{768, 2048} {
		add("lora", 1, 1024, d, 16, "NT")
		add("lora", 1, 1024, 16, d, "NT")
		add("lora", 1, 16, 1024, d, "TN")
		add("lora", 1, d, 1024, 16, "TN")
	}
	add("attention", 48, 256, 64, 256, "NT")
	add("attention", 48, 256, 256, 64, "NN", "TN")
	add("attention", 8, 1024, 32, 1024, "NT")
	add("attention", 8, 1024, 1024, 32, "NN")
	add("attention", 8, 1024, 32, 77, "NT")
	for _, b := range []int{8, 16, 32, 64} {
		add("blocks x tokens", 1024/b, 1024, b, b, "NT")
	}
	for _, b := range []int{8, 16, 20, 32, 40, 64} {
		add("block products", 512, b, b, b, "NN")
	}
	return cases
}
