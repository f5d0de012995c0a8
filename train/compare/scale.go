package compare

import (
	"math"
	"strconv"
)

// scale maps values to pixels, linearly or by the logarithm.
type scale struct {
	lo, hi   float64 // values, lo < hi
	from, to float64 // pixels
	log      bool
}

func (s scale) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.log {
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	return s.from + (v-lo)/(hi-lo)*(s.to-s.from)
}

// tick is a mark on an axis.
type tick struct {
	value float64
	label string
}

// ticks returns marks at round values.
func (s scale) ticks(about int) []tick {
	if s.log {
		return s.logTicks()
	}
	step := roundStep((s.hi - s.lo) / float64(about))
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	var out []tick
	for k := math.Ceil(s.lo/step - 1e-9); k*step <= s.hi+1e-9*step; k++ {
		out = append(out, tick{k * step, strconv.FormatFloat(k*step, 'f', decimals, 64)})
	}
	return out
}

// roundStep returns the least of 1, 2, 5 times a power of ten that is not below v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks marks powers of ten, and over less than three decades twice and five times these too.
func (s scale) logTicks() []tick {
	multiples := []float64{1, 2, 5}
	if s.hi/s.lo > 1000 {
		multiples = []float64{1}
	}
	var out []tick
	for e := math.Floor(math.Log10(s.lo)); e <= math.Ceil(math.Log10(s.hi)); e++ {
		for _, m := range multiples {
			if v := m * math.Pow(10, e); v >= s.lo*(1-1e-9) && v <= s.hi*(1+1e-9) {
				out = append(out, tick{v, strconv.FormatFloat(v, 'g', 3, 64)})
			}
		}
	}
	return out
}
