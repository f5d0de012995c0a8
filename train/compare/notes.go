package compare

import (
	"fmt"
	"strings"

	"github.com/geotune/geotune/train"
)

// procedure says how the learning rates were chosen.
func (s *Setup) procedure() string {
	by := "best held-out loss"
	if s.TuneBy == ByFinal {
		by = "held-out loss after the last step"
	}
	text := fmt.Sprintf("Each variant was trained with every learning rate of its grid with %s. The rate with the smallest %s%s was chosen",
		seedsText(s.TuningSeeds), by, plural(len(s.TuningSeeds), "", ", averaged over these seeds,"))
	if more := s.Seeds[len(s.TuningSeeds):]; len(more) > 0 {
		text += fmt.Sprintf(" and trained with %s too", seedsText(more))
	}
	return text + ". A rate that diverges is never chosen."
}

// sharing says what all variants have in common.
func (s *Setup) sharing() string {
	return fmt.Sprintf("All variants start from the same model and get the same batches in the same order with the same seed: %d steps of %d rows, %.0f tokens on average. "+
		"Held-out loss is the mean cross-entropy in nats, measured every %d steps.", s.Steps, s.Batch, s.TokensPerStep, s.EvalEvery)
}

// timing says what the times mean.
func (s *Setup) timing() string {
	if s.TimedSteps == 0 {
		return "Times were not measured."
	}
	return fmt.Sprintf("Step times are not those of the runs, which shared the processor: each variant was timed alone afterwards, over its first %s, on %s of %s. "+
		"Each step counts with the fastest of three measurements. Evaluations are not included, nor what a rule does only every so many steps.",
		train.Counted(s.TimedSteps, "step", "steps"), train.Counted(s.Threads, "thread", "threads"), s.Platform)
}

func seedsText(seeds []uint64) string {
	var parts []string
	for _, s := range seeds {
		parts = append(parts, fmt.Sprint(s))
	}
	return plural(len(seeds), "seed ", "seeds ") + strings.Join(parts, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// notes collects warnings.
func notes(r *Results) []string {
	out := []string{}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, row := range r.Variants {
		switch {
		case row.LR == 0:
			add("%s diverged at every learning rate of its grid, first at step %d.", row.Name, earliest(row.Rates))
			continue
		case row.Edge == EdgeLow:
			add("%s is best at the lowest learning rate of its grid, %s: a lower one may be better.", row.Name, shortRate(row.LR))
		case row.Edge == EdgeHigh:
			add("%s is best at the highest learning rate of its grid, %s: a higher one may be better.", row.Name, shortRate(row.LR))
		case len(row.Rates) == 1:
			add("%s was not tuned; it has one learning rate, %s.", row.Name, shortRate(row.LR))
		}
		if row.StartSeconds > 0 {
			add("%s starts from the gradient, which takes %s; times to the baseline's loss include it.", row.Name, milliseconds(row.StartSeconds))
		}
		if row.Diverged > 0 {
			add("%s diverged with %d of %s at the chosen learning rate; its figures leave these out.", row.Name, row.Diverged, train.Counted(len(r.Setup.Seeds), "seed", "seeds"))
		}
	}
	if n := len(r.Setup.Seeds); n < 2 {
		add("There is one seed only: differences between variants may be chance.")
	} else {
		add("± is the standard deviation over %d seeds; a difference that is not much larger may be chance.", n)
	}
	if tuned(r.Variants) {
		add("Learning rates were chosen by the same held-out data that the table reports, for every variant alike; losses on fresh data will be slightly higher.")
	}
	return out
}

func tuned(rows []Row) bool {
	for _, r := range rows {
		if len(r.Rates) > 1 {
			return true
		}
	}
	return false
}

// earliest returns the first step at which any rate diverged.
func earliest(rates []Rate) int {
	first := 0
	for _, r := range rates {
		if r.Diverged > 0 && (first == 0 || r.DivergedAt < first) {
			first = r.DivergedAt
		}
	}
	return first
}
