package kernel

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Padding is how many rows and columns of zeros lie around an image.
type Padding struct{ Top, Left, Bottom, Right int }

// Pad returns the same padding on all sides.
func Pad(n int) Padding { return Padding{n, n, n, n} }

// Conv2d is the two-dimensional convolution (cross-correlation) of torch.nn.Conv2d, without dilation and groups:
//
//	y[n,o] = b[o] + Σ_c w[o,c] ⋆ x[n,c]
//
// Inputs: x[n, in, height, width]; w[out, in, kh, kw]; and b[out] if there is a bias. Output: [n, out, (height + padding - kh)/Stride + 1,
// (width + padding - kw)/Stride + 1], rounded down. The work is one product of 2·out·in·kh·kw operations a pixel of the output forward
// and one for each of the gradients of x and w; patches are gathered as the products read them, at most
// 8 MiB of them at a time.
type Conv2d struct {
	Bias   bool // there is an input b
	Stride int  // between patches, in both directions; 0 counts as 1
	// Pad differs from side to side in the downsampling of diffusion models' autoencoders.
	Pad Padding
}

// String returns "conv2d".
func (Conv2d) String() string { return "conv2d" }

// Plan checks the inputs x, w and b.
func (k Conv2d) Plan(in []Spec, need []bool) (Plan, error) {
	want := []operand{{"x", activation}, {"w", stored}}
	if k.Bias {
		want = append(want, operand{"b", stored})
	}
	if err := checkOperands("conv2d", in, need, want...); err != nil {
		return Plan{}, err
	}
	s, err := k.shape(in[0].Shape, in[1].Shape)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{Out: Shape{s.images, s.out, s.outH, s.outW}}
	if in[1].DType != F32 {
		p.ForwardScratch = s.filterRows() * s.taps()
	}
	if k.Bias {
		if err := checkShape("conv2d", "b", in[2].Shape, s.out); err != nil {
			return Plan{}, err
		}
		p.ForwardScratch += vecScratch(in[2])
	}
	if need[0] {
		p.BackwardScratch = s.gradScratch(in[1].DType)
		p.ReadsX = append(p.ReadsX, 1)
	}
	if need[1] {
		p.ReadsX = append(p.ReadsX, 0)
	}
	return p, nil
}

// convShape are the sizes of a convolution.
type convShape struct {
	images, in, height, width int
	out, kh, kw               int
	outH, outW                int
	stride                    int
	pad                       Padding
}

// shape returns the sizes, or an error if x and w do not fit together.
func (k Conv2d) shape(x, w Shape) (convShape, error) {
	s := convShape{stride: max(k.Stride, 1), pad: k.Pad}
	if len(x) != 4 || len(w) != 4 || x.Size() == 0 || w.Size() == 0 || w[1] != x[1] {
		return s, fmt.Errorf("conv2d: x has shape %v and w %v; expected (n,in,height,width) and (out,in,kh,kw), not empty", x, w)
	}
	if k.Stride < 0 || min(s.pad.Top, s.pad.Left, s.pad.Bottom, s.pad.Right) < 0 {
		return s, fmt.Errorf("conv2d: stride %d and padding %+v; they must not be negative", k.Stride, k.Pad)
	}
	s.images, s.in, s.height, s.width = x[0], x[1], x[2], x[3]
	s.out, s.kh, s.kw = w[0], w[2], w[3]
	down, across := s.height+s.pad.Top+s.pad.Bottom-s.kh, s.width+s.pad.Left+s.pad.Right-s.kw
	if down < 0 || across < 0 {
		return s, fmt.Errorf("conv2d: a kernel of %dx%d on images of %dx%d with padding %+v; it must fit", s.kh, s.kw, s.height, s.width, k.Pad)
	}
	s.outH, s.outW = down/s.stride+1, across/s.stride+1
	return s, nil
}

// taps returns the length of a patch.
func (s *convShape) taps() int { return s.in * s.kh * s.kw }

// pixels and outPixels return the sizes of a channel.
func (s *convShape) pixels() int    { return s.height * s.width }
func (s *convShape) outPixels() int { return s.outH * s.outW }

// pointwise reports whether patches are pixels.
func (s *convShape) pointwise() bool {
	return s.kh == 1 && s.kw == 1 && s.stride == 1 && s.pad == Padding{}
}

// image returns image n of x as a matrix of channels.
func (s *convShape) image(x []float32, n int) cpu.Mat {
	size := s.in * s.pixels()
	return cpu.Dense(x[n*size:(n+1)*size], s.in, s.pixels())
}

// outImage returns image n of y as a matrix of channels.
func (s *convShape) outImage(y []float32, n int) cpu.Mat {
	size := s.out * s.outPixels()
	return cpu.Dense(y[n*size:(n+1)*size], s.out, s.outPixels())
}

// patches returns the patches of image n of x.
func (s *convShape) patches(x []float32, n int) cpu.Patches {
	return cpu.Patches{
		Data: s.image(x, n).Data, Channels: s.in, Height: s.height, Width: s.width, KernelH: s.kh, KernelW: s.kw,
		OutH: s.outH, OutW: s.outW, StepY: s.stride, StepX: s.stride, FirstY: -s.pad.Top, FirstX: -s.pad.Left, TapY: 1, TapX: 1,
	}
}

// convBlock is how many values of a weight are brought into the form of a left operand at a time; leastRows bounds the number of rows
// from below, since patches are gathered once for each block of them.
const (
	convBlock = 4 << 20
	leastRows = 256
)

// blockRows returns how many of the given rows of k values make a block.
func blockRows(rows, k int) int {
	blocks := ceilDiv(rows, max(leastRows, convBlock/k))
	return ceilDiv(rows, blocks)
}

func ceilDiv(n, by int) int { return (n + by - 1) / by }

// filterRows returns how many filters are widened at a time.
func (s *convShape) filterRows() int { return blockRows(s.out, s.taps()) }

// Forward computes y.
func (k Conv2d) Forward(c *Call) {
	s, err := k.shape(c.X[0].Shape, c.X[1].Shape)
	if err != nil {
		panic(err)
	}
	beta, scratch := float32(0), c.Scratch
	if k.Bias {
		var b []float32
		b, scratch = vec(c.X[2], scratch)
		channelLoop.Run(s.images*s.out, rowGrain(s.outPixels()), channelArgs{c.Y.F32, b, s.outPixels()})
		beta = 1
	}
	w, rows := c.X[1], s.out
	if w.DType != F32 {
		rows = s.filterRows()
	}
	for first := 0; first < s.out; first += rows {
		n := min(rows, s.out-first)
		filters := cpu.Mat{Data: scratch, Rows: n, Cols: s.taps(), RS: s.taps(), CS: 1}
		if w.DType == F32 {
			filters.Data = w.F32[first*s.taps():]
		} else {
			widenLoop.Run(n, rowGrain(s.taps()), widenArgs{filters, w.Weights(), first * s.taps(), s.taps()})
		}
		for image := range s.images {
			s.convolve(filters, c.X[0].F32, image, beta, s.outImage(c.Y.F32, image).Block(first, 0, n, s.outPixels()))
		}
	}
}

// convolve computes y = filters·patches + beta·y for image n of x.
func (s *convShape) convolve(filters cpu.Mat, x []float32, n int, beta float32, y cpu.Mat) {
	if s.pointwise() {
		cpu.Gemm(1, filters, s.image(x, n), beta, y)
		return
	}
	cpu.GemmPatches(1, filters, s.patches(x, n), beta, y)
}

// channelArgs are the operands of loops over channels of size pixels: values has one for each channel of an image, and pixels the
// channels of all images.
type channelArgs struct {
	pixels, values []float32
	size           int
}

// channelLoop runs over the channels of all images and fills them with their values.
var channelLoop = cpu.NewLoop(func(a *channelArgs, lo, hi int) {
	for r := lo; r < hi; r++ {
		pixels, v := a.pixels[r*a.size:(r+1)*a.size], a.values[r%len(a.values)]
		for i := range pixels {
			pixels[i] = v
		}
	}
})

// widenArgs are the operands of widenLoop: row r of dst gets the values of w from index from + r·stride on.
type widenArgs struct {
	dst          cpu.Mat
	w            cpu.Weights
	from, stride int
}

// widenLoop runs over rows.
var widenLoop = cpu.NewLoop(func(a *widenArgs, lo, hi int) {
	n := a.dst.Cols
	for r := lo; r < hi; r++ {
		cpu.Widen(a.dst.Data[r*n:(r+1)*n], a.w, a.from+r*a.stride)
	}
})
