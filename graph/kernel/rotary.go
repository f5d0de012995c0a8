package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Rotary applies rotary position embedding (Su et al., "RoFormer", 2021) in the half-split layout of Hugging Face's rotate_half: in
// each head the pair (x[j], x[j+Rot/2]) is turned by the angle of its position, j < Rot/2; dimensions from Rot on stay as they are.
//
// Inputs: x[B,T,width], cos[maxpos,Rot/2], sin[maxpos,Rot/2], positions I32[B,T]. The output has the shape of x; what belongs to no
// listed head is copied. The tables may carry a factor (YaRN's attention scaling). They are constants and have no gradient.
type Rotary struct {
	Dim   int         // width of a head
	Rot   int         // leading dimensions that rotate; even
	Spans [2]HeadSpan // the heads of queries and of keys; a zero Count leaves a span out
}

// HeadSpan lists Count heads of a row, the first at Offset, each Stride after the one before.
type HeadSpan struct{ Offset, Stride, Count int }

// String returns "rotary".
func (Rotary) String() string { return "rotary" }

// Plan checks the inputs x, cos, sin, positions and that all heads lie within a row.
func (k Rotary) Plan(in []Spec, need []bool) (Plan, error) {
	err := checkOperands("rotary", in, need,
		operand{"x", activation}, operand{"cos", activation}, operand{"sin", activation}, operand{"positions", integer})
	if err != nil {
		return Plan{}, err
	}
	x, cos, sin, pos := in[0].Shape, in[1].Shape, in[2].Shape, in[3].Shape
	if need[1] || need[2] {
		return Plan{}, fmt.Errorf("rotary: gradient wanted for the cos or sin table; they are constants")
	}
	if k.Rot < 2 || k.Rot%2 != 0 || k.Rot > k.Dim {
		return Plan{}, fmt.Errorf("rotary: %d of %d head dimensions rotate; expected an even number from 2 to the head's width", k.Rot, k.Dim)
	}
	if len(x) != 3 || !pos.Equal(x[:2]) {
		return Plan{}, fmt.Errorf("rotary: x has shape %v and positions %v; expected [B,T,width] and [B,T]", x, pos)
	}
	if len(cos) != 2 || cos[1] != k.Rot/2 || !sin.Equal(cos) {
		return Plan{}, fmt.Errorf("rotary: tables have shapes %v and %v; expected positions by %d", cos, sin, k.Rot/2)
	}
	for _, s := range k.Spans {
		if s.Count > 0 && (s.Offset < 0 || s.Count > 1 && s.Stride < k.Dim || s.Offset+(s.Count-1)*s.Stride+k.Dim > x[2]) {
			return Plan{}, fmt.Errorf("rotary: heads %+v of width %d overlap or leave the row of %d", s, k.Dim, x[2])
		}
	}
	if k.overlap() {
		return Plan{}, fmt.Errorf("rotary: heads of width %d of both spans %+v overlap", k.Dim, k.Spans)
	}
	return Plan{Out: x, ReadsX: []int{1, 2, 3}, YOverX: []int{0}, DXOverDY: []int{0}}, nil
}

// overlap reports whether a head of one span shares elements with one of the other.
func (k Rotary) overlap() bool {
	q, kv := k.Spans[0], k.Spans[1]
	for i := range q.Count {
		for j := range kv.Count {
			if d := q.Offset + i*q.Stride - kv.Offset - j*kv.Stride; -k.Dim < d && d < k.Dim {
				return true
			}
		}
	}
	return false
}

// Forward rotates x.
func (k Rotary) Forward(c *Call) { k.rotate(c.Y, c.X[0], c, 1) }

// Backward rotates the gradient by the opposite angles, the transpose of the forward map.
func (k Rotary) Backward(c *Call) {
	if c.DX[0] != nil {
		k.rotate(c.DX[0], c.DY, c, -1)
	}
}

// rotaryArgs are the operands of rotaryLoop.
type rotaryArgs struct {
	Rotary
	dst, src, cos, sin []float32
	positions          []int32
	sign               float32 // 1 turns forward, -1 back
	over               bool    // dst is src
}

func (k Rotary) rotate(dst, src *Tensor, c *Call, sign float32) {
	limit := c.X[1].Shape[0]
	for i, p := range c.X[3].I32 {
		if p < 0 || int(p) >= limit {
			panic(fmt.Sprintf("rotary: position %d of token %d; the tables hold positions 0 to %d", p, i, limit-1))
		}
	}
	if q, kv := k.Spans[0], k.Spans[1]; q.Stride == kv.Stride && kv.Offset == q.Offset+q.Count*q.Stride {
		k.Spans = [2]HeadSpan{{q.Offset, q.Stride, q.Count + kv.Count}} // neighbours make one call
	}
	over := len(dst.F32) > 0 && &dst.F32[0] == &src.F32[0]
	rotaryLoop.Run(src.Shape.Rows(), 16, rotaryArgs{k, dst.F32, src.F32, c.X[1].F32, c.X[2].F32, c.X[3].I32, sign, over})
}

// rotaryLoop runs over tokens.
var rotaryLoop = cpu.NewLoop(func(a *rotaryArgs, lo, hi int) {
	width, half := len(a.src)/len(a.positions), a.Rot/2
	for t := lo; t < hi; t++ {
		dst, src := a.dst[t*width:][:width], a.src[t*width:][:width]
		if !a.over {
			a.copyRest(dst, src)
		}
		p := int(a.positions[t]) * half
		cos, sin := a.cos[p:p+half], a.sin[p:p+half]
		for _, s := range a.Spans {
			if s.Count > 0 {
				cpu.Rotate(dst[s.Offset:], src[s.Offset:], cos, sin, a.sign, s.Count, s.Stride)
			}
		}
	}
})

// copyRest copies a row but for spans without gaps, which Rotate writes whole.
func (k Rotary) copyRest(dst, src []float32) {
	done := 0
	for _, s := range k.Spans {
		if s.Count > 0 && s.Stride == k.Rot && s.Offset >= done {
			copy(dst[done:s.Offset], src[done:])
			done = s.Offset + s.Count*s.Stride
		}
	}
	copy(dst[done:], src[done:])
}
