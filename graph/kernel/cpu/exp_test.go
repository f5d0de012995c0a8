package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// exps returns the powers of e that ExpSub computes.
func exps(x []float32) []float32 {
	y := append([]float32(nil), x...)
	ExpSub(y, 0)
	return y
}

// arguments returns values spread over [lo, hi], evenly and, towards zero, by magnitude.
func arguments(lo, hi float64) []float32 {
	var xs []float32
	for i := range 200001 {
		xs = append(xs, float32(lo+(hi-lo)*float64(i)/200000))
	}
	for e := -30; e < 4; e++ {
		for i := range 64 {
			x := float32(math.Ldexp(1+float64(i)/64, e))
			xs = append(xs, min(x, float32(hi)), max(-x, float32(lo)))
		}
	}
	return xs
}

func TestExpSubHasSmallRelativeError(t *testing.T) { eachLevel(t, expSubHasSmallRelativeError) }

func expSubHasSmallRelativeError(t *testing.T) {
	xs := arguments(-87, 88.7)
	worst, at := 0.0, float32(0)
	for i, y := range exps(xs) {
		want := math.Exp(float64(xs[i]))
		if e := math.Abs(float64(y)-want) / max(want, 0x1p-126); e > worst || math.IsNaN(e) {
			worst, at = e, xs[i]
		}
	}
	t.Logf("largest relative error %.2g at %g", worst, at)
	if !(worst <= 2e-7) {
		t.Errorf("relative error %.3g at %g, allowed 2e-7", worst, at)
	}
}

func TestExpSubAtTheEdges(t *testing.T) { eachLevel(t, expSubAtTheEdges) }

func expSubAtTheEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	xs := []float32{-inf, -1000, -200, 0, float32(math.Copysign(0, -1)), 200, 1000, inf, nan}
	for i, y := range exps(xs) {
		want := float32(math.Exp(float64(xs[i])))
		if y != want && !(y != y && want != want) {
			t.Errorf("e^%g = %g, want %g", xs[i], y, want)
		}
	}
}

func TestExpSubDoesNotDependOnPosition(t *testing.T) { eachLevel(t, expSubDoesNotDependOnPosition) }

func expSubDoesNotDependOnPosition(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	x := make([]float32, 100)
	for i := range x {
		x[i] = 6*r.Float32() - 3
	}
	all := exps(x)
	for n := range x {
		for i, y := range exps(x[:n]) {
			if y != all[i] {
				t.Fatalf("element %d of %d is %g, of 100 %g", i, n, y, all[i])
			}
		}
		if one := exps(x[n : n+1]); one[0] != all[n] {
			t.Fatalf("alone %g, in a row %g", one[0], all[n])
		}
	}
}
