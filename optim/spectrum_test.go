package optim_test

import (
	"math"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// withSpectrum returns a point with the given singular values, in factors with little left of the canonical gauge.
func withSpectrum(t *testing.T, name string, values ...float32) *optim.LowRank {
	t.Helper()
	const out, in = 9, 7
	r := len(values)
	a := optim.Tensor{Name: name + ".a", Value: kernel.New(r, in), Grad: kernel.New(r, in)}
	b := optim.Tensor{Name: name + ".b", Value: kernel.New(out, r), Grad: kernel.New(out, r)}
	for j, v := range values { // unit vectors in another order, then B·Q and Q⁻¹·A for a unit triangular Q of two columns
		b.Value.F32[(8-j)*r+j] = v / 2
		a.Value.F32[j*in+(3+j)%in] = 1
	}
	if r > 1 {
		for i := range out {
			b.Value.F32[i*r+1] += 3 * b.Value.F32[i*r]
		}
		for i := range in {
			a.Value.F32[i] -= 3 * a.Value.F32[in+i]
		}
	}
	p, err := optim.NewLowRank(name, a, b, 2)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSpectrumFindsThePointNearestToALowerRank(t *testing.T) {
	points := []optim.Point{
		optim.NewEuclidean(tensor("bias", 1, 2)), withSpectrum(t, "round", 2, 1, 1), withSpectrum(t, "flat", 4, 1, 1e-2), withSpectrum(t, "zero", 0, 0),
		withSpectrum(t, "one", 5),
	}
	if s := optim.MeasureSpectrum(points); s.Point != "flat" || math.Abs(s.Ratio-1e-2/4) > 1e-8 {
		t.Errorf("found %+v, want flat with 0.0025", s)
	}
	if s := optim.MeasureSpectrum(points[:1]); s != (optim.Spectrum{}) {
		t.Errorf("found %+v without a low-rank point", s)
	}
	points[2].(*optim.LowRank).A().Value.F32[0] = float32(math.NaN())
	if s := optim.MeasureSpectrum(points); s.Point != "round" || math.Abs(s.Ratio-0.5) > 1e-6 {
		t.Errorf("found %+v, want round with 0.5", s)
	}
	points = points[1:2]
	if n := testing.AllocsPerRun(10, func() { optim.MeasureSpectrum(points) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
