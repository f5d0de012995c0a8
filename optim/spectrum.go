package optim

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/dense"
)

// Spectrum tells how near the low-rank points of a run are to a lower rank.
type Spectrum struct {
	// Ratio is the smallest σ_r/σ₁ of the updates X = Scale·B·A, those that are 0 left out. A rule that adapts ranks brings it to 0.
	Ratio float64
	// Point is the name of the point that has it, "" if there is none.
	Point string
}

// MeasureSpectrum returns the spectrum of the LowRank points among points. It works in any gauge, by a QR factorisation of each factor
// and the singular values of an r×r core: about 4·(out+in)·r² operations a point, and no allocation once it was made. A value that is not
// finite counts as none.
func MeasureSpectrum(points []Point) Spectrum {
	s := Spectrum{Ratio: math.Inf(1)}
	for _, p := range points {
		x, ok := p.(*LowRank)
		if !ok {
			continue
		}
		if ratio := x.sigmaRatio(); ratio < s.Ratio {
			s = Spectrum{ratio, x.name}
		}
	}
	if s.Point == "" {
		s.Ratio = 0
	}
	return s
}

// sigmaRatio returns σ_r/σ₁ of X, NaN if X is 0 or not finite.
func (p *LowRank) sigmaRatio() float64 {
	w := workspaces.Get()
	defer workspaces.Put(w)
	out, in, r := p.size()
	b, a := dense.Of(p.B().Value.F32, out, r), dense.Of(p.A().Value.F32, r, in).T()
	if n := dense.Norm(a) * dense.Norm(b); n == 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return math.NaN()
	}
	_, left, _ := tallQR(w, b)
	_, right, _ := tallQR(w, a)
	core, u, s, v := w.Core(r, r), w.Core(r, r), w.Values(r), w.Core(r, r)
	dense.Mul(1, left, right.T(), 0, core)
	dense.SVD(w, core, u, s, v)
	if s[0] == 0 {
		return math.NaN()
	}
	return s[min(r, out, in)-1] / s[0]
}
