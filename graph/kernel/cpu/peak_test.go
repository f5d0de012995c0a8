package cpu

import (
	"math"
	"testing"
	"time"
)

// The loops must do exactly the multiply-adds that they claim: each chain starts at a value and adds a product a turn, so the sum of all
// lanes tells their number. With factors of 2⁻¹⁰ every value is exact.
func TestPeakLoopsDoTheWorkTheyClaim(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		k := peakLoopOf(currentLevel())
		if currentLevel() == generic {
			x := peakOperands{1, 1} // each chain adds 1 a round
			k.run(&x, 3)
			if got, want := x[2], float32(3*k.adds)+12; got != want {
				t.Errorf("sum %v, expected %v", got, want)
			}
			return
		}
		const c = 1. / 1024
		var sums [2]float64
		for i, turns := range []int{1, 4} {
			x := peakOperands{c, c}
			k.run(&x, turns)
			for _, v := range x[2:] {
				sums[i] += float64(v)
			}
		}
		if got, want := (sums[1]-sums[0])/(c*c), float64(3*k.adds); math.Abs(got-want) > 0 {
			t.Errorf("3 turns do %v multiply-adds, expected %v", got, want)
		}
	})
}

func TestPeakIsMeasured(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, threads := range []int{1, 2} {
			if rate := PeakGFLOPS(threads, time.Millisecond); !(rate > 0.01 && rate < 1e5) {
				t.Errorf("%d threads: %v GFLOP/s", threads, rate)
			}
		}
	})
}
