package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// headView locates the heads of queries, keys or values in the memory of a [B, tokens, width] tensor.
type headView struct {
	data          []float32 // nil for a gradient that nobody wants
	tokens, width int
	offset, step  int // columns of head 0 and from one head to the next
	dim           int // width of a head
}

// rows returns the tokens [t0, t1) of a head as a matrix.
func (v *headView) rows(b, h, t0, t1 int) cpu.Mat {
	return cpu.Mat{Data: v.data[v.index(b, h, t0):], Rows: t1 - t0, Cols: v.dim, RS: v.width, CS: 1}
}

// row returns one token of a head.
func (v *headView) row(b, h, t int) []float32 {
	at := v.index(b, h, t)
	return v.data[at : at+v.dim : at+v.dim]
}

// clear zeroes the tokens [t0, t1) of a head.
func (v *headView) clear(b, h, t0, t1 int) {
	for t := t0; t < t1; t++ {
		clear(v.row(b, h, t))
	}
}

func (v *headView) index(b, h, t int) int { return (b*v.tokens+t)*v.width + v.offset + h*v.step }

// inputs returns how many inputs hold queries, keys and values.
func (k Attention) inputs() int {
	if k.Fused == "" {
		return 3
	}
	return 1
}

// widths returns the expected widths of those inputs.
func (k Attention) widths() []int {
	if k.Fused == "" {
		return []int{k.Heads * k.Dim, k.KVHeads * k.Dim, k.KVHeads * k.Dim}
	}
	return []int{(k.Heads + 2*k.KVHeads) * k.Dim}
}

// views locates queries, keys and values in the tensors x, whose entries may be nil.
func (k Attention) views(x []*Tensor) (q, key, v headView) {
	d := k.Dim
	switch k.Fused {
	case "qkv":
		return view(x[0], 0, d, d), view(x[0], k.Heads*d, d, d), view(x[0], (k.Heads+k.KVHeads)*d, d, d)
	case "neox":
		return view(x[0], 0, 3*d, d), view(x[0], d, 3*d, d), view(x[0], 2*d, 3*d, d)
	}
	return view(x[0], 0, d, d), view(x[1], 0, d, d), view(x[2], 0, d, d)
}

// view returns the heads of t.
func view(t *Tensor, offset, step, dim int) headView {
	if t == nil {
		return headView{}
	}
	return headView{t.F32, t.Shape[1], t.Shape[2], offset, step, dim}
}

// check reports a configuration that makes no sense and inputs with wrong shapes. It returns the shape [B,T] of the tokens.
func (k Attention) check(name string, in []Spec) (Shape, error) {
	switch {
	case k.Heads < 1 || k.KVHeads < 1 || k.Dim < 1 || k.Heads%k.KVHeads != 0:
		return nil, fmt.Errorf("%s: %d heads and %d key/value heads of width %d; expected positive numbers, the first a multiple of the second",
			name, k.Heads, k.KVHeads, k.Dim)
	case k.Window < 0:
		return nil, fmt.Errorf("%s: window %d; expected 0 for none or a positive number", name, k.Window)
	case k.Fused != "" && k.Fused != "qkv" && k.Fused != "neox":
		return nil, fmt.Errorf("%s: unknown fused layout %q; expected \"\", \"qkv\" or \"neox\"", name, k.Fused)
	case k.Fused == "neox" && k.Heads != k.KVHeads:
		return nil, fmt.Errorf("%s: %d heads and %d key/value heads; the neox layout has as many of each", name, k.Heads, k.KVHeads)
	}
	for i, w := range k.widths() {
		s := in[i].Shape
		if len(s) != 3 || s[2] != w || !s[:2].Equal(in[0].Shape[:2]) {
			return nil, fmt.Errorf("%s: input %d has shape %v; expected [B,T,%d] with the same B and T for all", name, i, s, w)
		}
	}
	return in[0].Shape[:2], nil
}
