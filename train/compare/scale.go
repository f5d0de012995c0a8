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
	whole    bool // only integers are marked
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
		return s.logTicks(about)
	}
	step := roundStep((s.hi - s.lo) / float64(about))
	if s.whole {
		step = max(1, step)
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	var out []tick
	for k := int(math.Ceil(s.lo/step - 1e-9)); float64(k)*step <= s.hi+1e-9*step; k++ {
		v := float64(k) * step
		out = append(out, tick{v, strconv.FormatFloat(v, 'f', decimals, 64)})
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

// logTicks marks powers of ten, over few of them twice and five times these too, over many of them not all.
func (s scale) logTicks(about int) []tick {
	first, last := math.Floor(math.Log10(s.lo)), math.Ceil(math.Log10(s.hi))
	multiples, every := []float64{1}, 1+math.Floor((last-first)/float64(about+1))
	if s.hi/s.lo <= 1000 {
		multiples = []float64{1, 2, 5}
	}
	var out []tick
	for e := first; e <= last; e += every {
		for _, m := range multiples {
			if v := m * math.Pow(10, e); v >= s.lo*(1-1e-9) && v <= s.hi*(1+1e-9) {
				out = append(out, tick{v, strconv.FormatFloat(v, 'g', 3, 64)})
			}
		}
	}
	return out
}
