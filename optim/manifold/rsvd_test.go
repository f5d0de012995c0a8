package manifold_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel/dense"
	ref "github.com/geotune/geotune/optim/internal/reference"
	. "github.com/geotune/geotune/optim/manifold"
)

// explicit serves the products of matrices that the test holds, and counts its calls.
type explicit struct {
	g      []*mat.Dense
	passes int
}

func (e *explicit) Mul(x, y []dense.Mat[float32]) error {
	e.passes++
	for i, g := range e.g {
		multiply(g, x[i], y[i])
	}
	return nil
}

func (e *explicit) MulT(y, x []dense.Mat[float32]) error {
	e.passes++
	for i, g := range e.g {
		multiply(g.T(), y[i], x[i])
	}
	return nil
}

func multiply(g mat.Matrix, x, y dense.Mat[float32]) {
	wide := mat.NewDense(x.Rows, x.Cols, nil)
	for i := range x.Rows {
		for j := range x.Cols {
			wide.Set(i, j, float64(x.At(i, j)))
		}
	}
	p := ref.Mul(g, wide)
	for i := range y.Rows {
		for j := range y.Cols {
			y.Set(i, j, float32(p.At(i, j)))
		}
	}
}

// withSpectrum returns an m×n matrix with the given singular values and random singular vectors.
func withSpectrum(rng *rand.Rand, m, n int, s []float64) *mat.Dense {
	orthonormal := func(rows int) *mat.Dense {
		var qr mat.QR
		var q mat.Dense
		qr.Factorize(ref.Random(rng, rows, len(s)))
		qr.QTo(&q)
		return mat.DenseCopyOf(q.Slice(0, rows, 0, len(s)))
	}
	return ref.Mul(orthonormal(m), mat.NewDiagDense(len(s), s), orthonormal(n).T())
}

// harmonic is the spectrum 1, 1/2, 1/3, ...
func harmonic(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = 1 / float64(i+1)
	}
	return s
}

func energy(s []float64) float64 {
	var sum float64
	for _, v := range s {
		sum += v * v
	}
	return sum
}

func sketched(t *testing.T, o RSVD, seed uint64, rank int, g ...*mat.Dense) []SVD[float32] {
	t.Helper()
	var set []Wanted
	for _, m := range g {
		rows, cols := m.Dims()
		set = append(set, Wanted{rows, cols, rank})
	}
	p := &explicit{g: g}
	rngs := make([]*rand.Rand, len(g))
	for i := range rngs {
		rngs[i] = rand.New(rand.NewPCG(seed, uint64(i)))
	}
	out, err := o.Decompose(p, set, func(i int) float64 { return rngs[i].NormFloat64() })
	if err != nil {
		t.Fatal(err)
	}
	if p.passes != o.Passes() || o.Passes() != 2*(o.Power+1) {
		t.Errorf("%+v took %d passes, announced %d", o, p.passes, o.Passes())
	}
	return out
}

func wide32(m dense.Mat[float32]) *mat.Dense {
	d := dense.New[float64](m.Rows, m.Cols)
	dense.Copy(d, m)
	return whole(d)
}

// TestRSVDCapturesNearlyAllThatTheExactOneDoes measures the energy of G within the leading directions that were found, on both sides.
func TestRSVDCapturesNearlyAllThatTheExactOneDoes(t *testing.T) {
	s := harmonic(120)
	g := withSpectrum(rand.New(rand.NewPCG(1, 1)), 150, 120, s)
	const rank = 16 // 2r for r = 8
	best := energy(s[:rank])
	for power, least := range []float64{0.97, 0.999, 0.99999} {
		d := sketched(t, RSVD{Oversample: 16, Power: power}, 3, rank, g)[0]
		u, v := wide32(d.U.Columns(0, rank)), wide32(d.V.Columns(0, rank))
		for side, captured := range map[string]float64{
			"left": energy(ref.Mul(u.T(), g).RawMatrix().Data), "right": energy(ref.Mul(g, v).RawMatrix().Data), "values": d.Energy(rank),
		} {
			if captured < least*best || captured > best*(1+1e-5) {
				t.Errorf("power %d, %s: captured %.6f of the optimum, want at least %v", power, side, captured/best, least)
			}
		}
	}
}

// TestRSVDOfAllDirectionsIsExact: with as many directions as the matrix has, nothing is left to chance.
func TestRSVDOfAllDirectionsIsExact(t *testing.T) {
	for _, shape := range [][2]int{{23, 17}, {17, 23}, {5, 12}, {1, 4}, {4, 1}, {1, 1}} {
		g := ref.Random(rand.New(rand.NewPCG(2, 2)), shape[0], shape[1])
		d := sketched(t, RSVD{Oversample: 16, Power: 1}, 1, 6, g)[0]
		_, want, _ := ref.SVD(g)
		for i, s := range d.S {
			if math.Abs(s-want[i]) > 1e-5*want[0] {
				t.Errorf("%v: singular value %d is %v, want %v", shape, i, s, want[i])
			}
		}
		if e := ref.Distance(ref.Mul(wide32(d.U), mat.NewDiagDense(len(d.S), d.S), wide32(d.V).T()), g); e > 1e-5*want[0] {
			t.Errorf("%v: the product of the factors is off by %g", shape, e)
		}
		w := new(dense.Workspace[float32])
		if e := dense.Orthonormality(w, d.U) + dense.Orthonormality(w, d.V); e > 1e-5 {
			t.Errorf("%v: factors off orthonormality by %g", shape, e)
		}
		if n := energy(g.RawMatrix().Data); math.Abs(d.SquaredNorm()-n) > 1e-5*n {
			t.Errorf("%v: squared norm %v, want %v", shape, d.SquaredNorm(), n)
		}
	}
}

// TestRestEstimatesTheEnergyOutside: without bias, and close in a single run where that energy is spread out.
func TestRestEstimatesTheEnergyOutside(t *testing.T) {
	flat := make([]float64, 100)
	for i := range flat {
		flat[i] = 1
	}
	for name, s := range map[string][]float64{"flat": flat, "harmonic": harmonic(100)} {
		g := withSpectrum(rand.New(rand.NewPCG(4, 4)), 110, 100, s)
		var sum float64
		const runs = 60
		for seed := range uint64(runs) {
			d := sketched(t, RSVD{Oversample: 4, Power: 1}, seed, 8, g)[0]
			off := d.SquaredNorm()/energy(s) - 1
			sum += off
			if math.Abs(off) > 0.25 {
				t.Errorf("%s, seed %d: squared norm off by %.0f %%", name, seed, 100*off)
			}
		}
		if mean := sum / runs; math.Abs(mean) > 0.02 {
			t.Errorf("%s: the mean of %d estimates is off by %.1f %%", name, runs, 100*mean)
		}
	}
}

// TestASetIsDecomposedAsEachOfItsMatricesAlone: shapes differ, passes are shared.
func TestASetIsDecomposedAsEachOfItsMatricesAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	a, b := ref.Random(rng, 40, 30), ref.Random(rng, 9, 50)
	o := RSVD{Oversample: 4, Power: 1}
	both := sketched(t, o, 7, 4, a, b)
	alone := sketched(t, o, 7, 4, a)[0]
	for i, s := range alone.S {
		if both[0].S[i] != s {
			t.Errorf("singular value %d is %v in a set, %v alone", i, both[0].S[i], s)
		}
	}
	if len(both[1].S) != 8 || both[1].U.Rows != 9 || both[1].V.Rows != 50 {
		t.Errorf("second matrix: %d values, U %d×, V %d×", len(both[1].S), both[1].U.Rows, both[1].V.Rows)
	}
}

func TestRSVDNamesMatricesWithoutDirections(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, c := range []struct {
		value float64
		zero  bool
	}{{0, true}, {math.NaN(), false}, {math.Inf(1), false}, {1e-30, false}} {
		bad := mat.NewDense(12, 10, nil)
		for i := range 12 {
			for j := range 10 {
				bad.Set(i, j, c.value*rng.NormFloat64())
			}
		}
		var set []Wanted
		for range 2 {
			set = append(set, Wanted{12, 10, 4})
		}
		_, err := RSVD{Oversample: 4, Power: 1}.Decompose(&explicit{g: []*mat.Dense{ref.Random(rng, 12, 10), bad}}, set, func(int) float64 { return rng.NormFloat64() })
		var broken *Broken
		if c.value == 1e-30 { // tiny is not zero
			if err != nil {
				t.Errorf("gradients of size 1e-30: %v", err)
			}
		} else if !errors.As(err, &broken) || broken.Index != 1 || broken.Zero != c.zero {
			t.Errorf("values of %v: error %v", c.value, err)
		}
	}
	fails := errors.New("no memory")
	if _, err := (RSVD{}).Decompose(failing{fails}, []Wanted{{3, 3, 1}}, ones); !errors.Is(err, fails) {
		t.Errorf("error %v, want that of the pass", err)
	}
}

type failing struct{ err error }

func (f failing) Mul(_, _ []dense.Mat[float32]) error  { return f.err }
func (f failing) MulT(_, _ []dense.Mat[float32]) error { return f.err }
func ones(int) float64                                 { return 1 }

// TestARankDeficientGradientGivesOrthonormalDirections: a batch of few tokens has a gradient of low rank.
func TestARankDeficientGradientGivesOrthonormalDirections(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	g := withSpectrum(rng, 40, 30, []float64{3, 2, 1})
	d := sketched(t, RSVD{Oversample: 4, Power: 1}, 1, 8, g)[0]
	w := new(dense.Workspace[float32])
	if e := dense.Orthonormality(w, d.U) + dense.Orthonormality(w, d.V); e > 1e-5 || d.Rank() != 3 {
		t.Errorf("rank %d, factors off orthonormality by %g", d.Rank(), e)
	}
	if d.Rest > 1e-9 || math.Abs(d.Energy(3)-14) > 1e-4 {
		t.Errorf("energy %v and %v outside, want 14 and 0", d.Energy(3), d.Rest)
	}
	if d.Gap(2) < 1.99 || d.Gap(3) < 1e5 || !math.IsInf(d.Gap(len(d.S)), 1) {
		t.Errorf("gaps %v, %v, %v", d.Gap(2), d.Gap(3), d.Gap(len(d.S)))
	}
}

func ExampleRSVD() {
	// The products of G = diag(3,2,1,0,0): the two leading singular values.
	g := mat.NewDense(5, 5, nil)
	for i := range 3 {
		g.Set(i, i, float64(3-i))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	o := RSVD{Oversample: 2, Power: 1}
	d, err := o.Decompose(&explicit{g: []*mat.Dense{g}}, []Wanted{{Rows: 5, Cols: 5, Rank: 2}}, func(int) float64 { return rng.NormFloat64() })
	if err != nil {
		panic(err)
	}
	fmt.Printf("%.4f in %d passes\n", d[0].S[:2], o.Passes())
	// Output: [3.0000 2.0000] in 4 passes
}

// still serves products that cost nothing, so that the decomposition itself is measured.
type still struct{ left, right dense.Mat[float32] }

func (s *still) Mul(_, y []dense.Mat[float32]) error  { dense.Copy(y[0], s.left); return nil }
func (s *still) MulT(_, x []dense.Mat[float32]) error { dense.Copy(x[0], s.right); return nil }

// BenchmarkRSVD is what a layer of width 2048 costs besides its passes, for rank 16.
func BenchmarkRSVD(b *testing.B) {
	const n = 2048
	o, want := RSVD{Oversample: 16, Power: 1}, Wanted{n, n, 32}
	rng := rand.New(rand.NewPCG(1, 1))
	s := &still{dense.New[float32](n, o.Width(want)), dense.New[float32](n, o.Width(want))}
	for i := range s.left.Data {
		s.left.Data[i], s.right.Data[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	for b.Loop() {
		if _, err := o.Decompose(s, []Wanted{want}, func(int) float64 { return rng.NormFloat64() }); err != nil {
			b.Fatal(err)
		}
	}
}
