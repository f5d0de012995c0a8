package kernel_test

import (
	"fmt"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refConv2d convolves by the definition, tap by tap.
func refConv2d(k kernel.Conv2d, xs, ws []int) func(x [][]float64) []float64 {
	n, in, h, w, out, kh, kw := xs[0], xs[1], xs[2], xs[3], ws[0], ws[2], ws[3]
	stride := max(k.Stride, 1)
	oh, ow := (h+k.Pad.Top+k.Pad.Bottom-kh)/stride+1, (w+k.Pad.Left+k.Pad.Right-kw)/stride+1
	return func(x [][]float64) []float64 {
		y := make([]float64, n*out*oh*ow)
		for q := range y {
			image, o, py, px := q/(out*oh*ow), q/(oh*ow)%out, q/ow%oh*stride-k.Pad.Top, q%ow*stride-k.Pad.Left
			if k.Bias {
				y[q] = x[2][o]
			}
			for c := range in {
				for i := range kh {
					for j := range kw {
						if r, s := py+i, px+j; r >= 0 && r < h && s >= 0 && s < w {
							y[q] += x[1][((o*in+c)*kh+i)*kw+j] * x[0][((image*in+c)*h+r)*w+s]
						}
					}
				}
			}
		}
		return y
	}
}

// convCase is a convolution of images of the given shape with out filters of kh by kw; a store type makes the weights frozen.
func convCase(k kernel.Conv2d, x []int, out, kh, kw int, store ...kernel.DType) kerneltest.Case {
	w := []int{out, x[1], kh, kw}
	xs := []*kernel.Tensor{kerneltest.Normal(1, x...), kerneltest.Scaled(2, 0.3, w...)}
	if k.Bias {
		xs = append(xs, kerneltest.Normal(3, out))
	}
	for i := range xs[1:] {
		for _, d := range store {
			xs[1+i] = kerneltest.Stored(xs[1+i], d)
		}
	}
	return kerneltest.Case{
		Name:   fmt.Sprintf("%v to %d by %dx%d stride %d pad %v %v", kernel.Shape(x), out, kh, kw, k.Stride, k.Pad, store),
		Kernel: k, X: xs, Ref: refConv2d(k, x, w),
	}
}

func TestConv2d(t *testing.T) {
	plain, same := kernel.Conv2d{}, kernel.Conv2d{Pad: kernel.Pad(1), Bias: true}
	half := kernel.Conv2d{Stride: 2, Pad: kernel.Pad(1)}                                   // as in U-Nets
	down := kernel.Conv2d{Stride: 2, Pad: kernel.Padding{Bottom: 1, Right: 1}, Bias: true} // as in autoencoders
	bad := convCase(same, []int{1, 3, 5, 5}, 2, 3, 3)
	spec := func(d kernel.DType, shape ...int) kernel.Spec { return kernel.Spec{Shape: shape, DType: d} }
	f := kernel.F32
	bad.Bad = [][]kernel.Spec{
		{spec(f, 1, 3, 5, 5), spec(f, 2, 3, 3, 3)},
		{spec(f, 1, 3, 5, 5), spec(f, 2, 4, 3, 3), spec(f, 2)},
		{spec(f, 3, 5, 5), spec(f, 2, 3, 3, 3), spec(f, 2)},
		{spec(f, 1, 3, 5, 5), spec(f, 2, 3, 3), spec(f, 2)},
		{spec(f, 1, 3, 5, 5), spec(f, 2, 3, 3, 3), spec(f, 3)},
		{spec(f, 1, 3, 5, 5), spec(f, 2, 3, 8, 3), spec(f, 2)},
		{spec(f, 1, 3, 0, 5), spec(f, 2, 3, 1, 1), spec(f, 2)},
		{spec(kernel.BF16, 1, 3, 5, 5), spec(f, 2, 3, 3, 3), spec(f, 2)},
		{spec(f, 1, 3, 5, 5), spec(kernel.I32, 2, 3, 3, 3), spec(f, 2)},
	}
	kerneltest.Run(t, bad,
		convCase(same, []int{2, 3, 7, 9}, 4, 3, 3),
		convCase(same, []int{1, 2, 1, 1}, 3, 3, 3),  // one pixel, the kernel larger than the image
		convCase(same, []int{1, 5, 4, 17}, 2, 3, 3), // rows longer than a panel
		convCase(plain, []int{3, 4, 5, 3}, 6, 1, 1), // pointwise
		convCase(plain, []int{1, 1, 6, 5}, 1, 6, 5), // the kernel is the image
		convCase(plain, []int{2, 3, 5, 8}, 2, 2, 4), // even kernel without padding
		convCase(half, []int{2, 3, 8, 8}, 4, 3, 3),
		convCase(half, []int{1, 2, 7, 5}, 3, 3, 3), // odd sizes
		convCase(half, []int{1, 3, 6, 7}, 4, 1, 1), // pixels that no patch has
		convCase(half, []int{1, 2, 1, 1}, 3, 3, 3), // grids without pixels
		convCase(down, []int{2, 3, 8, 6}, 4, 3, 3),
		convCase(down, []int{1, 2, 5, 2}, 3, 3, 3),
		convCase(kernel.Conv2d{Stride: 3, Pad: kernel.Padding{Top: 2, Left: 1, Right: 4}}, []int{2, 2, 11, 7}, 3, 4, 2),
		convCase(kernel.Conv2d{Stride: 2, Pad: kernel.Pad(5)}, []int{1, 1, 3, 2}, 2, 3, 3), // patches of zeros alone
		convCase(same, []int{2, 3, 6, 5}, 4, 3, 3, kernel.BF16),
		convCase(same, []int{1, 3, 6, 5}, 4, 3, 3, kernel.F16),
		convCase(same, []int{1, 3, 6, 5}, 4, 3, 3, kernel.F32),
		convCase(plain, []int{2, 3, 6, 5}, 4, 1, 1, kernel.BF16),
		convCase(half, []int{2, 3, 6, 5}, 4, 3, 3, kernel.BF16),
		convCase(half, []int{1, 3, 6, 5}, 4, 3, 3, kernel.F16),
		convCase(same, []int{1, 1824, 1, 1}, 260, 3, 3, kernel.BF16), // several blocks of filters
		convCase(same, []int{1, 16, 18, 18}, 24, 3, 3),               // several threads
		convCase(half, []int{1, 48, 12, 12}, 80, 3, 3),
		convCase(plain, []int{1, 80, 16, 16}, 64, 1, 1),
	)
}

func TestConv2dRefusesNegativeSizes(t *testing.T) {
	in := []kernel.Spec{{Shape: kernel.Shape{1, 1, 4, 4}}, {Shape: kernel.Shape{1, 1, 1, 1}}}
	for _, k := range []kernel.Conv2d{{Stride: -1}, {Pad: kernel.Padding{Left: -1}}} {
		if _, err := k.Plan(in, make([]bool, 2)); err == nil {
			t.Errorf("%+v was accepted", k)
		}
	}
}
