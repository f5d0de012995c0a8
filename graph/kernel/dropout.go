package kernel

import (
	"fmt"
	"math/bits"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Dropout zeroes each element with probability P and scales the others by 1/(1-P), so that the mean is kept.
//
// Inputs: x of any shape; rng I32[4] {seed low, seed high, step, micro-batch}; site I32[1], which tells apart the dropouts of one
// model. Element e is decided by word e%4 of Philox4x32-10 with the seed as key and (e/4, site, step, micro-batch) as counter:
// nothing is saved, Backward draws the same mask again, and the mask does not depend on threads or on the order of layers.
type Dropout struct {
	P float32 // in [0, 1)
}

// String returns "dropout".
func (Dropout) String() string { return "dropout" }

// Plan checks P and the inputs x, rng, site.
func (k Dropout) Plan(in []Spec, need []bool) (Plan, error) {
	if !(k.P >= 0 && k.P < 1) {
		return Plan{}, fmt.Errorf("dropout: probability %v; it must be at least 0 and below 1", k.P)
	}
	if err := checkOperands("dropout", in, need, operand{"x", activation}, operand{"rng", integer}, operand{"site", integer}); err != nil {
		return Plan{}, err
	}
	if in[1].Shape.Size() != 4 || in[2].Shape.Size() != 1 {
		return Plan{}, fmt.Errorf("dropout: rng has shape %v and site %v; expected 4 and 1 elements", in[1].Shape, in[2].Shape)
	}
	return Plan{Out: in[0].Shape, ReadsX: []int{1, 2}, YOverX: []int{0}, DXOverDY: []int{0}}, nil
}

// Forward draws the mask and applies it.
func (k Dropout) Forward(c *Call) { k.mask(c.Y.F32, c.X[0].F32, c.X[1].I32, c.X[2].I32[0]) }

// Backward draws the mask again and applies it to the gradient.
func (k Dropout) Backward(c *Call) {
	if c.DX[0] != nil {
		k.mask(c.DX[0].F32, c.DY.F32, c.X[1].I32, c.X[2].I32[0])
	}
}

// dropoutArgs are the operands of dropoutLoop.
type dropoutArgs struct {
	dst, src  []float32
	rng       [4]uint32
	site      uint32
	threshold uint32 // of 2³²: a word below it drops the element
	scale     float32
}

// mask writes src, masked and scaled, to dst, which may be src.
func (k Dropout) mask(dst, src []float32, rng []int32, site int32) {
	if k.P == 0 {
		copy(dst, src)
		return
	}
	a := dropoutArgs{dst: dst, src: src, site: uint32(site), threshold: uint32(float64(k.P) * (1 << 32)), scale: float32(1 / (1 - float64(k.P)))}
	for i := range a.rng {
		a.rng[i] = uint32(rng[i])
	}
	dropoutLoop.Run((len(dst)+dropoutBlock-1)/dropoutBlock, 4, a)
}

// dropoutBlock is how many elements are worked on at a time: few enough for the first-level cache.
const dropoutBlock = 1024

// dropoutLoop runs over blocks of elements.
var dropoutLoop = cpu.NewLoop(func(a *dropoutArgs, lo, hi int) {
	var words [dropoutBlock]uint32
	scale := [2]float32{a.scale, 0}
	for at := lo * dropoutBlock; at < min(hi*dropoutBlock, len(a.dst)); at += dropoutBlock {
		src := a.src[at:min(at+dropoutBlock, len(a.src))]
		dst := a.dst[at : at+len(src)]
		philox(words[:len(src)], uint32(at/4), [3]uint32{a.site, a.rng[2], a.rng[3]}, [2]uint32{a.rng[0], a.rng[1]})
		for i, v := range src { // without a branch, which would be mispredicted for every dropped element
			_, drop := bits.Sub32(words[i], a.threshold, 0)
			dst[i] = v * scale[drop&1]
		}
	}
})
