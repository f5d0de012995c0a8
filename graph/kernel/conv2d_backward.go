package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// Backward computes dW = Σ dy·patchesᵀ over the images, db = Σ dy, and dx as convolutions of dy with the transposed filters.
func (k Conv2d) Backward(c *Call) {
	s, err := k.shape(c.X[0].Shape, c.X[1].Shape)
	if err != nil {
		panic(err)
	}
	if c.DX[0] != nil {
		for y := range s.stride {
			for x := range s.stride {
				s.inputGrad(s.phase(y, x), c.DY.F32, c.X[1], c.DX[0].F32, c.Scratch)
			}
		}
	}
	if dw := c.DX[1]; dw != nil {
		for n := range s.images {
			s.filterGrad(c.DY.F32, c.X[0].F32, n, cpu.Dense(dw.F32, s.out, s.taps()))
		}
	}
	if k.Bias && c.DX[2] != nil {
		channelSumLoop.Run(s.out, rowGrain(s.images*s.outPixels()), channelArgs{c.DY.F32, c.DX[2].F32, s.outPixels()})
	}
}

// filterGrad adds the part of image n to the gradient of the filters; that of the first image overwrites what was there.
func (s *convShape) filterGrad(dy, x []float32, n int, dw cpu.Mat) {
	beta := float32(0)
	if n > 0 {
		beta = 1
	}
	if s.pointwise() {
		cpu.Gemm(1, s.outImage(dy, n), s.image(x, n).T(), beta, dw)
		return
	}
	cpu.GemmPatchesT(1, s.outImage(dy, n), s.patches(x, n), beta, dw)
}

// channelSumLoop runs over the channels of an image and adds up each over all images, in float64.
var channelSumLoop = cpu.NewLoop(func(a *channelArgs, lo, hi int) {
	channels := len(a.values)
	for o := lo; o < hi; o++ {
		sum := 0.0
		for r := o; r*a.size < len(a.pixels); r += channels {
			sum += sum64(a.pixels[r*a.size : (r+1)*a.size])
		}
		a.values[o] = float32(sum)
	}
})

// phase is one of the grids of pixels, stride apart in both directions, that the same taps of a filter reach. The gradient on it is a
// convolution of stride 1 of dy with these taps, turned around: no column matrix is scattered, and every pixel is summed in one order.
type phase struct {
	y, x          int // first pixel
	height, width int // extents of the grid
	i, j          int // first tap
	kh, kw        int // taps, stride apart; 0 if no patch has a pixel of the grid
}

func (s *convShape) phase(y, x int) phase {
	every := func(first, n int) int { return ceilDiv(max(0, n-first), s.stride) }
	p := phase{y: y, x: x, height: every(y, s.height), width: every(x, s.width), i: (y + s.pad.Top) % s.stride, j: (x + s.pad.Left) % s.stride}
	p.kh, p.kw = every(p.i, s.kh), every(p.j, s.kw)
	return p
}

// patches returns the patches of image n of dy.
func (p *phase) patches(s *convShape, dy []float32, n int) cpu.Patches {
	return cpu.Patches{
		Data: s.outImage(dy, n).Data, Channels: s.out, Height: s.outH, Width: s.outW, KernelH: p.kh, KernelW: p.kw,
		OutH: p.height, OutW: p.width, StepY: 1, StepX: 1,
		FirstY: (p.y + s.pad.Top) / s.stride, FirstX: (p.x + s.pad.Left) / s.stride, TapY: -1, TapX: -1,
	}
}

// mostTaps returns how many taps of a filter the phases have at most.
func (s *convShape) mostTaps() int { return ceilDiv(s.kh, s.stride) * ceilDiv(s.kw, s.stride) }

// gradRows returns how many channels of x have their filters transposed at a time.
func (s *convShape) gradRows() int { return blockRows(s.in, s.out*s.mostTaps()) }

// gradScratch returns how many floats the gradient of x wants: for transposed filters, and for a phase if that is not the whole image.
func (s *convShape) gradScratch(w DType) int {
	if s.pointwise() && w == F32 {
		return 0
	}
	n := s.gradRows() * s.out * s.mostTaps()
	if s.stride > 1 {
		n += s.gradRows() * ceilDiv(s.height, s.stride) * ceilDiv(s.width, s.stride)
	}
	return n
}

// inputGrad computes the gradient of x on the grid of p.
func (s *convShape) inputGrad(p phase, dy []float32, w *Tensor, dx, scratch []float32) {
	size, rows := p.height*p.width, s.gradRows()
	if size == 0 {
		return
	}
	for first := 0; first < s.in; first += rows {
		n := min(rows, s.in-first)
		filters, rest := s.transposed(p, w, first, n, scratch)
		for image := range s.images {
			channels := s.image(dx, image).Block(first, 0, n, s.pixels())
			if s.stride == 1 {
				p.convolve(s, filters, dy, image, channels)
				continue
			}
			grid := cpu.Dense(rest, n, size)
			p.convolve(s, filters, dy, image, grid)
			gridLoop.Run(n, rowGrain(size), gridArgs{p, s.stride, s.width, channels, grid})
		}
	}
}

// transposed returns the matrix of a row for each of n channels from the first on: the taps of the phase of each filter. It lies in
// scratch if it has to be made.
func (s *convShape) transposed(p phase, w *Tensor, first, n int, scratch []float32) (filters cpu.Mat, rest []float32) {
	switch {
	case s.pointwise() && w.DType == F32:
		return cpu.Dense(w.F32, s.out, s.in).Block(0, first, s.out, n).T(), scratch
	case s.pointwise():
		filters = cpu.Dense(take(&scratch, s.out*n), s.out, n)
		widenLoop.Run(s.out, rowGrain(n), widenArgs{filters, w.Weights(), first, s.in})
		return filters.T(), scratch
	}
	k := s.out * p.kh * p.kw
	filters = cpu.Dense(take(&scratch, n*k), n, k)
	transposeLoop.Run(n, rowGrain(k), transposeArgs{*s, p, w.Weights(), filters, first})
	return filters, scratch
}

// convolve computes grid = filters·patches for image n of dy.
func (p *phase) convolve(s *convShape, filters cpu.Mat, dy []float32, n int, grid cpu.Mat) {
	if s.pointwise() {
		cpu.Gemm(1, filters, s.outImage(dy, n), 0, grid)
		return
	}
	cpu.GemmPatches(1, filters, p.patches(s, dy, n), 0, grid)
}

// transposeArgs are the operands of transposeLoop: row r of dst gets, for each filter of w, the taps of the phase on channel from + r.
type transposeArgs struct {
	convShape
	p    phase
	w    cpu.Weights
	dst  cpu.Mat
	from int
}

// transposeLoop runs over channels.
var transposeLoop = cpu.NewLoop(func(a *transposeArgs, lo, hi int) {
	p, each := &a.p, a.kh*a.kw
	for r := lo; r < hi; r++ {
		row := a.dst.Data[r*a.dst.Cols:][:a.dst.Cols]
		for o := 0; len(row) > 0; o++ {
			filter := (o*a.in + a.from + r) * each
			if a.stride == 1 {
				cpu.Widen(row[:each], a.w, filter)
				row = row[each:]
				continue
			}
			for i := range p.kh {
				pick(row[:p.kw], a.w, filter+(p.i+i*a.stride)*a.kw+p.j, a.stride)
				row = row[p.kw:]
			}
		}
	}
})

// pick widens the values of w from an index on, step apart, to dst.
func pick(dst []float32, w cpu.Weights, from, step int) {
	switch {
	case w.BF16 != nil:
		for i := range dst {
			dst[i] = cpu.BF16ToF32(w.BF16[from+i*step])
		}
	case w.F16 != nil:
		for i := range dst {
			dst[i] = cpu.F16ToF32(w.F16[from+i*step])
		}
	default:
		for i := range dst {
			dst[i] = w.F32[from+i*step]
		}
	}
}

// gridArgs are the operands of gridLoop.
type gridArgs struct {
	p             phase
	stride, width int
	image, grid   cpu.Mat
}

// gridLoop runs over channels and puts the pixels of a grid to their places.
var gridLoop = cpu.NewLoop(func(a *gridArgs, lo, hi int) {
	p := &a.p
	for c := lo; c < hi; c++ {
		from := a.grid.Data[c*a.grid.RS:][:p.height*p.width]
		to := a.image.Data[c*a.image.RS:]
		for y := range p.height {
			line := to[(p.y+y*a.stride)*a.width+p.x:]
			for x, v := range from[y*p.width:][:p.width] {
				line[x*a.stride] = v
			}
		}
	}
})
