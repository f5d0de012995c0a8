package kernel_test

import (
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

// refRotary is rotate_half of Hugging Face written out: out = x·cos + rotate_half(x)·sin with the tables repeated twice.
func refRotary(k kernel.Rotary, width int, positions []int32) func(x [][]float64) []float64 {
	return func(in [][]float64) []float64 {
		x, cos, sin := in[0], in[1], in[2]
		y := make([]float64, len(x))
		copy(y, x)
		half := k.Rot / 2
		for t, p := range positions {
			for _, s := range k.Spans {
				for h := range s.Count {
					at := t*width + s.Offset + h*s.Stride
					for j := range k.Rot {
						rotated := -1.0
						if j >= half {
							rotated = 1
						}
						rotated *= x[at+(j+half)%k.Rot]
						y[at+j] = x[at+j]*cos[int(p)*half+j%half] + rotated*sin[int(p)*half+j%half]
					}
				}
			}
		}
		return y
	}
}

// rotaryTables returns cos and sin of pos·10000^(-2j/rot).
func rotaryTables(positions, rot int) (cos, sin *kernel.Tensor) {
	cos, sin = kernel.New(positions, rot/2), kernel.New(positions, rot/2)
	for p := range positions {
		for j := range rot / 2 {
			angle := float64(p) * math.Pow(10000, -2*float64(j)/float64(rot))
			cos.F32[p*rot/2+j], sin.F32[p*rot/2+j] = float32(math.Cos(angle)), float32(math.Sin(angle))
		}
	}
	return cos, sin
}

func TestRotary(t *testing.T) {
	bad := [][]kernel.Spec{
		{spec(2, 3, 1000), spec(9, 4), spec(9, 4)},
		{spec(2, 3, 7), spec(9, 4), spec(9, 4), specI32(2, 3)},
		{spec(2, 3, 1000), spec(9, 77), spec(9, 77), specI32(2, 3)},
		{spec(2, 3, 1000), spec(9, 4), spec(8, 4), specI32(2, 3)},
		{spec(2, 3, 1000), spec(9, 4), spec(9, 4), specI32(3, 2)},
		{spec(2, 3, 1000), spec(9, 4), spec(9, 4), spec(2, 3)},
		{spec(6, 1000), spec(9, 4), spec(9, 4), specI32(6)},
	}
	run := func(name string, k kernel.Rotary, batch, tokens, width int) {
		cos, sin := rotaryTables(100, k.Rot)
		pos := kerneltest.IDs(1, 100, batch, tokens)
		kerneltest.Run(t, kerneltest.Case{
			Name: name, Kernel: k, X: []*kernel.Tensor{kerneltest.Normal(2, batch, tokens, width), cos, sin, pos}, Constant: []int{1, 2},
			Ref: refRotary(k, width, pos.I32), Tol: 3e-7, GradTol: 1e-6, Bad: bad,
		})
	}
	run("one head", kernel.Rotary{Dim: 8, Rot: 8, Spans: [2]kernel.HeadSpan{{0, 8, 1}}}, 1, 1, 8)
	run("smallest", kernel.Rotary{Dim: 2, Rot: 2, Spans: [2]kernel.HeadSpan{{0, 2, 3}}}, 2, 3, 6)
	run("qkv", kernel.Rotary{Dim: 10, Rot: 10, Spans: [2]kernel.HeadSpan{{0, 10, 4}, {40, 10, 2}}}, 2, 7, 80)
	run("neox", kernel.Rotary{Dim: 12, Rot: 4, Spans: [2]kernel.HeadSpan{{0, 36, 3}, {12, 36, 3}}}, 3, 5, 108)
	run("many tokens", kernel.Rotary{Dim: 4, Rot: 4, Spans: [2]kernel.HeadSpan{{0, 4, 2}}}, 3, 41, 9)
	run("wide heads", kernel.Rotary{Dim: 64, Rot: 64, Spans: [2]kernel.HeadSpan{{0, 64, 2}, {128, 64, 1}}}, 2, 19, 256)
	run("keys first", kernel.Rotary{Dim: 22, Rot: 22, Spans: [2]kernel.HeadSpan{{47, 22, 3}, {1, 22, 2}}}, 2, 5, 115)
	run("part of a head", kernel.Rotary{Dim: 40, Rot: 32, Spans: [2]kernel.HeadSpan{{0, 120, 2}, {40, 120, 2}}}, 2, 5, 240)
	run("one rotates whole", kernel.Rotary{Dim: 16, Rot: 16, Spans: [2]kernel.HeadSpan{{3, 20, 2}, {40, 16, 2}}}, 2, 5, 75)
	for _, k := range []kernel.Rotary{{Dim: 4, Rot: 6}, {Dim: 4, Rot: 3}, {Dim: 4}, {Dim: 4, Rot: 4, Spans: [2]kernel.HeadSpan{{0, 2, 2}}},
		{Dim: 4, Rot: 4, Spans: [2]kernel.HeadSpan{{0, 4, 1}, {3, 4, 1}}}} {
		in := []kernel.Spec{spec(1, 1, 8), spec(9, k.Rot/2), spec(9, k.Rot/2), specI32(1, 1)}
		if _, err := k.Plan(in, make([]bool, 4)); err == nil {
			t.Errorf("%+v accepted", k)
		}
	}
}

// The score of a query and a key depends on their positions only through the distance.
func TestRotaryScoresDependOnDistance(t *testing.T) {
	k := kernel.Rotary{Dim: 16, Rot: 16, Spans: [2]kernel.HeadSpan{{0, 16, 1}, {16, 16, 1}}}
	cos, sin := rotaryTables(200, 16)
	x := kerneltest.Normal(3, 1, 1, 32)
	score := func(at, key int32) float64 {
		qk := make([]*kernel.Tensor, 2)
		for i, p := range []int32{at, key} {
			pos := kernel.NewI32(1, 1)
			pos.I32[0] = p
			qk[i] = kernel.New(1, 1, 32)
			k.Forward(&kernel.Call{X: []*kernel.Tensor{x, cos, sin, pos}, Y: qk[i]})
		}
		s := 0.0
		for j := range 16 {
			s += float64(qk[0].F32[j]) * float64(qk[1].F32[16+j])
		}
		return s
	}
	for _, p := range []int32{0, 3, 150} {
		if got, want := score(p+7, p), score(7, 0); math.Abs(got-want) > 1e-5 {
			t.Errorf("distance 7 from position %d: score %v, want %v", p, got, want)
		}
	}
}
