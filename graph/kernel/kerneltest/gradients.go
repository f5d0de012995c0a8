package kerneltest

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

func outputEqualsReference(c *Case) error {
	p, err := newPass(c, c.differentiable())
	if err != nil {
		return err
	}
	p.runForward()
	for i, v := range p.call.Y.F32 {
		if v != v {
			return fmt.Errorf("element %d is NaN: never written, or from memory that was never written", i)
		}
	}
	ref := c.reference()
	if ref == nil {
		return nil
	}
	x := widened(c)
	want := ref(x, x)
	if len(want) != len(p.call.Y.F32) {
		return fmt.Errorf("%d values, reference has %d", len(p.call.Y.F32), len(want))
	}
	worst, at, size := 0.0, 0, 0.0
	for i, w := range want {
		size = math.Max(size, math.Abs(w))
		if e := math.Abs(float64(p.call.Y.F32[i]) - w); !(e <= worst) {
			worst, at = e, i
		}
	}
	if tol := or(c.Tol, 2e-6); !(worst <= tol*size) {
		return fmt.Errorf("element %d is %v, want %v: error %.2g of the largest value, tolerance %.2g", at, p.call.Y.F32[at], want[at], worst/size, tol)
	}
	return nil
}

// gradientsEqualDifferences compares each gradient with central differences of a random functional of the output: along the gradient
// itself, along random directions, and along some axes.
func gradientsEqualDifferences(c *Case) error {
	need := c.differentiable()
	if !slices.Contains(need, true) {
		return nil
	}
	p, err := run(c, need, nil)
	if err != nil {
		return err
	}
	f, eps, tol := functional(c), 1e-4, or(c.GradTol, 1e-5)
	if c.reference() == nil {
		eps, tol = 1e-2, or(c.GradTol, 5e-3)
	}
	var errs []error
	for i, dx := range p.call.DX {
		if dx == nil {
			continue
		}
		grad := make([]float64, dx.Len())
		for k, v := range dx.F32 {
			grad[k] = float64(v)
		}
		size := norm(grad)
		for name, dir := range directions(uint64(i), grad) {
			got, want := dot(dir, grad), derivative(f, widened(c), i, dir, eps)
			if e := math.Abs(got - want); !(e <= tol*math.Max(size, math.Abs(want))) {
				errs = append(errs, fmt.Errorf("input %d, %s: slope %v, finite difference %v, gradient norm %v, tolerance %.2g", i, name, got, want, size, tol))
			}
		}
	}
	return errors.Join(errs...)
}

// functional returns a number that depends on the inputs through the kernel's output: its product with fixed random weights, by the
// reference where there is one, by Forward otherwise.
func functional(c *Case) func(x [][]float64) float64 {
	at := widened(c)
	return func(x [][]float64) float64 {
		var y []float64
		if ref := c.reference(); ref != nil {
			y = ref(x, at)
		} else {
			y = forwardAt(c, x)
		}
		sum := 0.0
		p, err := plan(c.Kernel, c.specs(), make([]bool, len(c.X)))
		if err != nil {
			return math.NaN()
		}
		for i, w := range weights(p.Out).F32 {
			sum += float64(w) * y[i]
		}
		return sum
	}
}

// forwardAt runs the kernel on x rounded to float32.
func forwardAt(c *Case, x [][]float64) []float64 {
	p, err := newPass(c, make([]bool, len(c.X)))
	if err != nil {
		return nil
	}
	for i, t := range p.call.X {
		if t.Frozen() || t.F32 == nil {
			continue
		}
		for k, v := range x[i] {
			t.F32[k] = float32(v)
		}
	}
	p.runForward()
	y := make([]float64, p.call.Y.Len())
	for i, v := range p.call.Y.F32 {
		y[i] = float64(v)
	}
	return y
}

// derivative returns the central difference of f in input i along the direction dir.
func derivative(f func([][]float64) float64, x [][]float64, i int, dir []float64, eps float64) float64 {
	center := x[i]
	step := func(s float64) float64 {
		x[i] = slices.Clone(center)
		for k, d := range dir {
			x[i][k] += s * d
		}
		return f(x)
	}
	hi, lo := step(eps), step(-eps)
	return (hi - lo) / (2 * eps)
}

// directions returns unit vectors along which the gradient is tested.
func directions(seed uint64, grad []float64) map[string][]float64 {
	r := source(seed)
	dirs := map[string][]float64{}
	if n := norm(grad); n > 0 {
		along := make([]float64, len(grad))
		for k, g := range grad {
			along[k] = g / n
		}
		dirs["along the gradient"] = along
	}
	for n := range 3 {
		dir := make([]float64, len(grad))
		for k := range dir {
			dir[k] = r.NormFloat64()
		}
		size := norm(dir)
		for k := range dir {
			dir[k] /= size
		}
		dirs[fmt.Sprintf("along random direction %d", n)] = dir
	}
	for range min(8, len(grad)) {
		k := r.IntN(len(grad))
		axis := make([]float64, len(grad))
		axis[k] = 1
		dirs[fmt.Sprintf("along element %d", k)] = axis
	}
	return dirs
}

// widened returns the case's inputs in float64.
func widened(c *Case) [][]float64 {
	out := make([][]float64, len(c.X))
	for i, x := range c.X {
		for _, v := range x.Floats() {
			out[i] = append(out[i], float64(v))
		}
	}
	return out
}

func norm(a []float64) float64 { return math.Sqrt(dot(a, a)) }

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func or(v, otherwise float64) float64 {
	if v == 0 {
		return otherwise
	}
	return v
}
