package kernel

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// GroupNorm gives each group of channels of an image mean 0 and variance 1, then scales and shifts each channel (Wu and He, "Group
// Normalization", 2018):
//
//	y = (x - mean(group)) / sqrt(var(group) + Eps) · w + b
//
// with the biased variance, as torch.nn.GroupNorm does; its Eps is 1e-5 unless told otherwise, that of diffusion models' attention and
// autoencoders 1e-6. A group is channels/Groups consecutive channels with all their pixels. Inputs: x[n, channels, ...] with any number of
// axes of pixels, w[channels], b[channels]. The output has the shape of x.
type GroupNorm struct {
	Groups int // divides the channels
	Eps    float32
}

// String returns "group norm".
func (GroupNorm) String() string { return "group norm" }

// Plan checks the inputs x, w and b.
func (k GroupNorm) Plan(in []Spec, need []bool) (Plan, error) {
	err := checkOperands("group norm", in, need, operand{"x", activation}, operand{"w", stored}, operand{"b", stored})
	if err != nil {
		return Plan{}, err
	}
	x, w, b := in[0].Shape, in[1].Shape, in[2].Shape
	if len(x) < 2 || x[1:].Size() == 0 || len(w) != 1 || w[0] != x[1] || !b.Equal(w) {
		return Plan{}, fmt.Errorf("group norm: x has shape %v, w %v and b %v; expected (n,channels,...) and vectors of a value for each channel", x, w, b)
	}
	if k.Groups < 1 || x[1]%k.Groups != 0 {
		return Plan{}, fmt.Errorf("group norm: %d groups of %d channels; the number of groups must divide that of channels", k.Groups, x[1])
	}
	p := Plan{Out: x, ForwardScratch: vecScratch(in[1]) + vecScratch(in[2]), BackwardScratch: vecScratch(in[1]), YOverX: []int{0}}
	if anyOf(need) {
		p.Saved = 2 * x[0] * k.Groups
		p.ReadsX = []int{0, 1}
		p.DXOverDY = []int{0}
	}
	for _, wanted := range need[1:] {
		if wanted {
			p.BackwardScratch += x[0] * x[1]
		}
	}
	return p, nil
}

// groupArgs are the operands of both loops of GroupNorm.
type groupArgs struct {
	eps            float32
	each, pixels   int // channels of a group, pixels of a channel
	x, w, b, y     []float32
	stats          []float32 // mean and reciprocal standard deviation of each group, nil when nobody wants them
	dy, dx, dw, db []float32 // dw, db: the sums over the pixels of each channel of each image
}

// args collects the operands that both passes have in common, and returns how many groups all images have.
func (k GroupNorm) args(c *Call, w []float32) (a groupArgs, groups int) {
	shape := c.X[0].Shape
	a = groupArgs{eps: k.Eps, each: shape[1] / k.Groups, pixels: shape[2:].Size(), x: c.X[0].F32, w: w, stats: c.Saved}
	return a, shape[0] * k.Groups
}

// group returns the values of group g.
func (a *groupArgs) group(x []float32, g int) []float32 {
	n := a.each * a.pixels
	return x[g*n:][:n:n]
}

// channel returns the values of channel c of a group.
func (a *groupArgs) channel(group []float32, c int) []float32 {
	return group[c*a.pixels:][:a.pixels:a.pixels]
}

// Forward normalises x and saves mean and reciprocal standard deviation of each group.
func (k GroupNorm) Forward(c *Call) {
	w, rest := vec(c.X[1], c.Scratch)
	a, groups := k.args(c, w)
	a.b, _ = vec(c.X[2], rest)
	a.y = c.Y.F32
	groupForward.Run(groups, rowGrain(a.each*a.pixels), a)
}

// groupForward runs over the groups of all images.
var groupForward = cpu.NewLoop(func(a *groupArgs, lo, hi int) {
	for g := lo; g < hi; g++ {
		x, y := a.group(a.x, g), a.group(a.y, g)
		mean := float32(sum64(x) / float64(len(x)))
		inv := float32(1 / math.Sqrt(cpu.Deviations(x, mean)/float64(len(x))+float64(a.eps)))
		if len(a.stats) > 0 {
			a.stats[2*g], a.stats[2*g+1] = mean, inv
		}
		first := g * a.each % len(a.w)
		for c := range a.each {
			cpu.Normalize(a.channel(y, c), a.channel(x, c), mean, inv*a.w[first+c], a.b[first+c])
		}
	}
})

// Backward computes, with g = dy·w and x̂ the normalised x, dx = (g - mean(g) - x̂·mean(g·x̂))/std, and over images and pixels
// dw = Σ dy·x̂ and db = Σ dy.
func (k GroupNorm) Backward(c *Call) {
	w, parts := vec(c.X[1], c.Scratch)
	a, groups := k.args(c, w)
	a.dy = c.DY.F32
	images := c.X[0].Shape[0]
	if c.DX[0] != nil {
		a.dx = c.DX[0].F32
	}
	if c.DX[1] != nil {
		a.dw = take(&parts, images*len(w))
	}
	if c.DX[2] != nil {
		a.db = take(&parts, images*len(w))
	}
	groupBackward.Run(groups, rowGrain(a.each*a.pixels), a)
	if c.DX[1] != nil {
		sumParts(c.DX[1].F32, a.dw, images)
	}
	if c.DX[2] != nil {
		sumParts(c.DX[2].F32, a.db, images)
	}
}

// groupBackward runs over the groups of all images.
var groupBackward = cpu.NewLoop(func(a *groupArgs, lo, hi int) {
	for g := lo; g < hi; g++ {
		x, dy := a.group(a.x, g), a.group(a.dy, g)
		mean, inv := a.stats[2*g], a.stats[2*g+1]
		first := g * a.each // among the channels of all images
		w := a.w[first%len(a.w):][:a.each]
		var shift, pull float64
		for c, v := range w {
			db, dw := cpu.NormSums(a.channel(dy, c), a.channel(x, c), mean)
			dw *= float64(inv)
			if a.db != nil {
				a.db[first+c] = float32(db)
			}
			if a.dw != nil {
				a.dw[first+c] = float32(dw)
			}
			shift += db * float64(v)
			pull += dw * float64(v)
		}
		if a.dx == nil {
			continue
		}
		n, i := float64(len(x)), float64(inv)
		dx := a.group(a.dx, g)
		offset, scale := float32(-shift/n*i), float32(-pull/n*i*i)
		for c, v := range w {
			cpu.NormGrad(a.channel(dx, c), a.channel(dy, c), a.channel(x, c), v*inv, mean, scale, offset)
		}
	}
})
