package compare

// row computes a variant's line.
func (q *queue) row(v int, t *Timing) Row {
	p := q.variants[v]
	row := Row{Name: p.Name, Baseline: v == q.baseline, Settings: []string{}, Rates: q.rates(v)}
	for _, s := range flatten("", p.Set) {
		row.Settings = append(row.Settings, s.String())
	}
	chosen := q.chosen[v]
	if chosen < 0 {
		return row
	}
	row.LR = p.rates[chosen]
	switch {
	case len(p.rates) == 1:
	case chosen == 0:
		row.Edge = EdgeLow
	case chosen == len(p.rates)-1:
		row.Edge = EdgeHigh
	}
	q.losses(v, &row)
	if t != nil {
		share := t.OptimizerSeconds / t.StepSeconds
		row.StepSeconds, row.OptimizerShare, row.StartSeconds = &t.StepSeconds, &share, t.StartSeconds
		if row.ToBaseline != nil {
			seconds := t.StartSeconds + row.ToBaseline.Mean*t.StepSeconds
			row.SecondsToBaseline = &seconds
		}
	}
	return row
}

// rates returns what the tuning found.
func (q *queue) rates(v int) []Rate {
	var rates []Rate
	for r, lr := range q.variants[v].rates {
		rate := Rate{LR: lr}
		var losses []float64
		for s := range q.tuning {
			o := q.outcomes[job{v, r, s}]
			if !o.Diverged {
				losses = append(losses, q.judge(o))
				continue
			}
			if rate.Diverged == 0 || o.DivergedAt < rate.DivergedAt {
				rate.DivergedAt = o.DivergedAt
			}
			rate.Diverged++
		}
		rate.Loss = newStat(losses)
		rates = append(rates, rate)
	}
	return rates
}

// losses fills in what is known of the runs with the chosen learning rate.
func (q *queue) losses(v int, row *Row) {
	var best, final, against, steps []float64
	var whole []*Outcome
	for s := range q.seeds {
		o := q.outcomes[job{v, q.chosen[v], s}]
		row.StateBytes, row.Trained = o.StateBytes, o.Trained
		if o.Diverged {
			row.Diverged++
			continue
		}
		whole = append(whole, o)
		best, final = append(best, o.Best()), append(final, o.Final())
		base := q.baselineRun(s)
		if base == nil {
			continue
		}
		against = append(against, o.Best()-base.Best())
		if step, ok := o.reaches(base.Best()); ok {
			steps = append(steps, float64(step))
		}
	}
	row.Best, row.Final, row.Against, row.ToBaseline = newStat(best), newStat(final), newStat(against), newStat(steps)
	row.Curve = curve(whole)
}

// baselineRun returns the baseline's run with a seed and its chosen learning rate, nil if it diverged.
func (q *queue) baselineRun(seed int) *Outcome {
	if q.chosen[q.baseline] < 0 {
		return nil
	}
	o := q.outcomes[job{q.baseline, q.chosen[q.baseline], seed}]
	if o.Diverged {
		return nil
	}
	return o
}

// reaches returns the step of the first evaluation after a step at which the loss was at most target.
func (o *Outcome) reaches(target float64) (step int, ok bool) {
	for _, e := range o.Evals {
		if e.Step > 0 && e.Loss <= target {
			return e.Step, true
		}
	}
	return 0, false
}

// curve returns the loss after each evaluated step that all runs have.
func curve(runs []*Outcome) []Point {
	points := []Point{}
	if len(runs) == 0 {
		return points
	}
	for i, e := range runs[0].Evals {
		var losses []float64
		for _, o := range runs {
			if i < len(o.Evals) && o.Evals[i].Step == e.Step {
				losses = append(losses, o.Evals[i].Loss)
			}
		}
		if len(losses) == len(runs) {
			points = append(points, Point{e.Step, *newStat(losses)})
		}
	}
	return points
}
