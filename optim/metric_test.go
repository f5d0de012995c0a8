package optim

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/geotune/geotune/graph/kernel/dense"
)

// TestGramPowerIsThePower: (yᵀy)⁻¹·yᵀy and (yᵀy)^-½·yᵀy·(yᵀy)^-½ are the projector onto the row space of y, whether its columns differ
// in length or its rows lie in a skew basis, as far as squaring the condition of y leaves digits.
func TestGramPowerIsThePower(t *testing.T) {
	const rows, cols = 96, 8
	for _, c := range []struct {
		digits float64 // the lengths of the columns fall by so many powers of ten
		rank   int
		turned bool
	}{{0, cols, false}, {3, cols, false}, {3, cols, true}, {5, cols, false}, {5, cols, true}, {0, 5, true}, {1, 1, true}, {0, 0, false}} {
		w := new(dense.Workspace[float64])
		rng := rand.New(rand.NewPCG(1, 1))
		y, rotation := dense.New[float64](rows, cols), dense.New[float64](cols, cols)
		for j := range c.rank {
			for i := range rows {
				y.Set(i, j, rng.NormFloat64()*math.Pow(10, -c.digits*float64(j)/cols))
			}
		}
		if c.turned {
			for i := range rotation.Data {
				rotation.Data[i] = rng.NormFloat64()
			}
			dense.QR(w, rotation, w.Core(cols, cols), 0)
			old := w.Mat(rows, cols)
			dense.Copy(old, y)
			dense.Mul(1, old, rotation, 0, y)
		}
		g, inverse, root := w.Core(cols, cols), w.Core(cols, cols), w.Core(cols, cols)
		dense.Gram(w, y, g)
		gramPower(w, y, 0, gramTol, -1, inverse)
		gramPower(w, y, 0, gramTol, -0.5, root)
		p, half, q := w.Core(cols, cols), w.Core(cols, cols), w.Core(cols, cols)
		dense.Mul(1, inverse, g, 0, p)
		dense.Mul(1, root, g, 0, half)
		dense.Mul(1, half, root, 0, q)
		within := 1e-14 * math.Pow(100, c.digits)
		for name, projector := range map[string]dense.Core{"inverse": p, "root": q} {
			square, trace, off := w.Core(cols, cols), 0.0, 0.0
			dense.Mul(1, projector, projector, 0, square)
			for i := range cols {
				trace += projector.At(i, i)
				for j := range cols {
					off = max(off, math.Abs(square.At(i, j)-projector.At(i, j)))
				}
			}
			if !(off <= within) || !(math.Abs(trace-float64(c.rank)) <= within) {
				t.Errorf("%+v: %s: off a projector by %.1e, trace %v; allowed is %.1e", c, name, off, trace, within)
			}
		}
	}
}

// TestMasksAreRelative: the same directions of a matrix count as absent in whatever units it is measured. Those of the gradients of a
// large model are small.
func TestMasksAreRelative(t *testing.T) {
	const rows, cols = 40, 6
	w := new(dense.Workspace[float64])
	rng := rand.New(rand.NewPCG(2, 2))
	y := dense.New[float64](rows, cols)
	for j := range cols {
		for i := range rows {
			y.Set(i, j, rng.NormFloat64()*math.Pow(10, -float64(j)))
		}
	}
	powers := []float64{-1, -0.5}
	var want []dense.Core
	for _, p := range powers {
		want = append(want, w.Core(cols, cols))
		gramPower(w, y, 0, gramTol, p, want[len(want)-1])
	}
	signed := w.Mat(rows, cols)
	dense.Copy(signed, y)
	sign(w, signed, 1e-7)
	for _, unit := range []float64{0x1p-60, 0x1p-20, 0x1p20, 0x1p60} {
		scaled, found := w.Mat(rows, cols), w.Core(cols, cols)
		for i, v := range y.Data {
			scaled.Data[i] = unit * v
		}
		for i, p := range powers {
			gramPower(w, scaled, 0, gramTol, p, found)
			for k, v := range found.Data {
				if back := v * math.Pow(unit, -2*p); math.Abs(back-want[i].Data[k]) > 1e-4*dense.Norm(want[i]) {
					t.Errorf("power %v in units of %.0e: element %d is %v, want %v", p, unit, k, back, want[i].Data[k])
				}
			}
		}
		sign(w, scaled, 1e-7)
		for k, v := range scaled.Data {
			if math.Abs(v-signed.Data[k]) > 1e-9 {
				t.Errorf("sign in units of %.0e: element %d is %v, want %v", unit, k, v, signed.Data[k])
				break
			}
		}
	}
}
