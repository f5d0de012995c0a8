package compare

import "math"

// The values of queue.chosen that are no index of a rate.
const (
	undecided = -1
	noRate    = -2 // every rate diverged
)

// queue says which run comes next: first all those that choose learning rates, then for each variant the other seeds with the rate that
// was chosen.
type queue struct {
	*Plan
	outcomes map[job]*Outcome
	started  map[job]bool
	chosen   []int // by variant
}

func newQueue(p *Plan) *queue {
	q := &queue{Plan: p, outcomes: map[job]*Outcome{}, started: map[job]bool{}}
	for range p.variants {
		q.chosen = append(q.chosen, undecided)
	}
	return q
}

// next returns a run to start and marks it as started; ok is false while there is none. The first runs are of different variants, so
// that a mistake in one of them shows early.
func (q *queue) next() (j job, ok bool) {
	for _, j := range q.tuningJobs() {
		if q.start(j) {
			return j, true
		}
	}
	for v := range q.variants {
		q.decide(v)
		if q.chosen[v] < 0 {
			continue
		}
		for s := q.tuning; s < len(q.seeds); s++ {
			if j := (job{v, q.chosen[v], s}); q.start(j) {
				return j, true
			}
		}
	}
	return job{}, false
}

// tuningJobs returns the runs that choose learning rates, in their order.
func (q *queue) tuningJobs() []job {
	var jobs []job
	most := 0
	for _, v := range q.variants {
		most = max(most, len(v.rates))
	}
	for s := range q.tuning {
		for r := range most {
			for v := range q.variants {
				if r < len(q.variants[v].rates) {
					jobs = append(jobs, job{v, r, s})
				}
			}
		}
	}
	return jobs
}

func (q *queue) start(j job) bool {
	if q.started[j] || q.outcomes[j] != nil {
		return false
	}
	q.started[j] = true
	return true
}

// decide chooses the learning rate of a variant once all runs for that are finished.
func (q *queue) decide(v int) {
	if q.chosen[v] != undecided {
		return
	}
	best := math.Inf(1)
	chosen := noRate
	for r := range q.variants[v].rates {
		score, known := q.score(v, r)
		if !known {
			return
		}
		if score < best {
			best, chosen = score, r
		}
	}
	q.chosen[v] = chosen
}

// score returns the mean over the tuning seeds of what the learning rate is chosen by; it is infinite if one of the runs diverged.
func (q *queue) score(v, r int) (score float64, known bool) {
	for s := range q.tuning {
		o := q.outcomes[job{v, r, s}]
		if o == nil {
			return 0, false
		}
		score += q.judge(o)
	}
	return score / float64(q.tuning), true
}

// judge returns the loss by which a run's learning rate is judged.
func (q *queue) judge(o *Outcome) float64 {
	if q.cfg.Tune.By == ByFinal {
		return o.Final()
	}
	return o.Best()
}

// left returns how many runs are still to be finished.
func (q *queue) left() int {
	n := 0
	for _, j := range q.tuningJobs() {
		if q.outcomes[j] == nil {
			n++
		}
	}
	for v, r := range q.chosen {
		if r == noRate {
			continue
		}
		for s := q.tuning; s < len(q.seeds); s++ {
			if r == undecided || q.outcomes[job{v, r, s}] == nil {
				n++
			}
		}
	}
	return n
}
