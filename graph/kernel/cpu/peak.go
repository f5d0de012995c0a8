package cpu

import (
	"sync"
	"time"
)

// PeakGFLOPS measures the rate of multiply-adds on float32 at the level in use, in 10⁹ operations a second (an addition and a
// multiplication each count), with the given number of threads: the ceiling of what products can reach. It takes about d and returns the
// best of many short runs, because other load on the machine only ever lowers the rate.
func PeakGFLOPS(threads int, d time.Duration) float64 {
	const window = 4 * time.Millisecond
	k := peakLoopOf(currentLevel())
	turns, best := 1000, 0.0
	for end := time.Now().Add(d); ; {
		elapsed := k.time(threads, turns)
		best = max(best, 2*float64(threads)*float64(turns)*float64(k.adds)/elapsed.Seconds()/1e9)
		if elapsed < window {
			turns *= 2
		} else if time.Now().After(end) {
			return best
		}
	}
}

// peakOperands are two factors, and room for the sums so that the work is not useless.
type peakOperands [2 + 16]float32

// peakRounds is how many multiply-adds of each chain a turn of a loop has.
const peakRounds = 4

// peakLoop does n turns of multiply-adds in chains that do not depend on one another.
type peakLoop struct {
	adds int // multiply-adds of a turn
	run  func(x *peakOperands, n int)
}

// time lets each of the threads do a number of turns and returns how long that took.
func (k peakLoop) time(threads, turns int) time.Duration {
	const most = 512 // turns of a call: assembly cannot be preempted
	var wg sync.WaitGroup
	start := time.Now()
	for range threads {
		wg.Go(func() {
			x := peakOperands{0.5, 0.5} // sums neither overflow nor become denormal
			for done := 0; done < turns; done += most {
				k.run(&x, min(most, turns-done))
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// peakGeneric is the loop in Go: 12 chains of scalars, as many as x86 has registers for.
var peakGeneric = peakLoop{peakRounds * 12, func(x *peakOperands, n int) {
	a, b := x[0], x[1]
	s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 := a, a, a, a, a, a, a, a, a, a, a, a
	for range peakRounds * n {
		s0 = s0*a + b
		s1 = s1*a + b
		s2 = s2*a + b
		s3 = s3*a + b
		s4 = s4*a + b
		s5 = s5*a + b
		s6 = s6*a + b
		s7 = s7*a + b
		s8 = s8*a + b
		s9 = s9*a + b
		s10 = s10*a + b
		s11 = s11*a + b
	}
	x[2] = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11
}}
