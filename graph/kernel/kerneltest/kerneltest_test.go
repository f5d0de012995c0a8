package kerneltest

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
)

// tanh is a correct kernel, y = w·tanh(x) with one weight w, that breaks one law when told to.
type tanh struct{ fault string }

func (k tanh) String() string { return "tanh" }

func (k tanh) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	if k.fault != "bad input accepted" && in[1].Shape.Size() != 1 {
		return kernel.Plan{}, errors.New("tanh: want one weight")
	}
	p := kernel.Plan{Out: in[0].Shape, ReadsX: []int{0, 1}, YOverX: []int{0}, DXOverDY: []int{0}, DXOverX: []int{0}}
	switch k.fault {
	case "undeclared read":
		p.ReadsX = []int{1}
	case "inconsistent plan":
		p.YOverX = []int{1}
	}
	return p, nil
}

func (k tanh) Forward(c *kernel.Call) {
	w := c.X[1].F32[0]
	if k.fault == "wrong output" {
		w += 1e-4
	}
	if k.fault == "thread count" {
		w *= 1 + float32(runtime.GOMAXPROCS(0))*1e-6
	}
	if k.fault == "early write" {
		fill(c.Y.F32)
	}
	if k.fault == "input changed" {
		c.X[0].F32[0]++
	}
	for i, x := range c.X[0].F32 {
		c.Y.F32[i] = w * float32(math.Tanh(float64(x)))
	}
	if k.fault == "unwritten output" {
		c.Y.F32[0] = float32(math.NaN())
	}
}

var kept [][]float32 // what the allocating fault leaves behind

func (k tanh) Backward(c *kernel.Call) {
	if k.fault == "allocation" {
		kept = append(kept[:0], make([]float32, 1000))
	}
	w, sum := c.X[1].F32[0], 0.0
	if k.fault == "gradient early" && c.DX[0] != nil {
		clear(c.DX[0].F32)
	}
	for i, x := range c.X[0].F32 {
		t := math.Tanh(float64(x))
		dy := float64(c.DY.F32[i])
		sum += dy * t
		if k.fault == "dependent gradients" && c.DX[0] == nil {
			sum += dy
		}
		if c.DX[0] == nil {
			continue
		}
		if k.fault == "wrong gradient" {
			dy *= 1.02
		}
		if k.fault == "dirty gradient" {
			dy += float64(c.DX[0].F32[i])
		}
		c.DX[0].F32[i] = float32(dy * float64(w) * (1 - t*t))
	}
	if c.DX[1] != nil {
		c.DX[1].F32[0] = float32(sum)
	}
}

func refTanh(x [][]float64) []float64 {
	y := make([]float64, len(x[0]))
	for i, v := range x[0] {
		y[i] = x[1][0] * math.Tanh(v)
	}
	return y
}

func tanhCase(fault string) Case {
	return Case{
		Name: "tanh", Kernel: tanh{fault}, X: []*kernel.Tensor{Normal(1, 3, 5), Normal(2, 1)}, Ref: refTanh,
		Bad: [][]kernel.Spec{{{Shape: kernel.Shape{3, 5}}, {Shape: kernel.Shape{2}}}},
	}
}

func TestCorrectKernelPasses(t *testing.T) {
	Check(t, tanhCase(""))
	c := tanhCase("")
	c.Ref = nil // finite differences of Forward
	Check(t, c)
	c.X[1].Freeze()
	Check(t, c)
}

func TestEachFaultBreaksItsLaw(t *testing.T) {
	for fault, law := range map[string]string{
		"inconsistent plan":   "plan is consistent",
		"bad input accepted":  "plan refuses bad inputs",
		"wrong output":        "output equals reference",
		"unwritten output":    "output equals reference",
		"wrong gradient":      "gradients equal finite differences",
		"dirty gradient":      "gradients equal finite differences",
		"input changed":       "inputs stay unchanged",
		"dependent gradients": "gradients do not depend on which others are wanted",
		"early write":         "output may take the place of inputs",
		"undeclared read":     "backward reads only what the plan says",
		"gradient early":      "gradients may take the place of operands",
		"thread count":        "same bits for any GOMAXPROCS",
		"allocation":          "no allocation per step",
	} {
		t.Run(fault, func(t *testing.T) {
			c := tanhCase(fault)
			for _, l := range Laws {
				if l.Name == law && l.Check(&c) == nil {
					t.Errorf("law %q does not see it", law)
				}
			}
		})
	}
}

func TestDifferencesInFloat32SeeAWrongGradient(t *testing.T) {
	c := tanhCase("wrong gradient")
	c.Ref = nil
	if gradientsEqualDifferences(&c) == nil {
		t.Error("accepted")
	}
}

func TestStoredRoundsToNearestEven(t *testing.T) {
	x := kernel.FromF32([]float32{1, -2.5, 1 + 1.0/256, 1 + 3.0/256, 0.1, 65504, 0}, 7)
	for d, want := range map[kernel.DType][]float32{
		kernel.BF16: {1, -2.5, 1, 1 + 4.0/256, 0.10009765625, 65536, 0},
		kernel.F16:  {1, -2.5, 1 + 1.0/256, 1 + 3.0/256, 0.0999755859375, 65504, 0},
	} {
		if got := Stored(x, d).Floats(); !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", d, got, want)
		}
	}
}
