package graph

import "time"

// Trace is told how long each kernel pass of a machine took: the kind of kernel as its String names it, or "sum of gradients" and
// "accumulate" for what the machine adds, and whether the pass belongs to the backward half. Passes inside a checkpointed block are told
// one by one, the recomputed ones as forward. The time until the next pass starts, the trace's own, counts for that one.
type Trace func(kind string, backward bool, d time.Duration)

// runTraced runs the steps and reports their times. current follows along.
func (m *Machine) runTraced(trace Trace, current **step) {
	start := time.Now()
	for _, s := range m.steps {
		*current = s
		s.run()
		if _, nested := s.k.(*block); nested {
			start = time.Now()
			continue
		}
		now := time.Now()
		trace(s.kind, s.backward || s.gradient, now.Sub(start))
		start = now
	}
}
