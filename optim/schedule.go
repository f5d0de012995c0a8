package optim

import (
	"fmt"
	"math"
)

// Schedule gives the factor by which the learning rate of a step is multiplied, steps counted from 0.
type Schedule func(step int) float64

var schedules = newRegistry[func(warmup, total int) Schedule]("schedule")

// RegisterSchedule makes a schedule available under a name in config files. newSchedule gets the number of warm-up steps and of all
// steps. It is meant for package initialisation and panics if the name is taken.
func RegisterSchedule(name string, newSchedule func(warmup, total int) Schedule) {
	schedules.add(name, newSchedule)
}

// NewSchedule returns the registered schedule of the given name for a run of total steps, warm-up included. The error for an unknown
// name lists the known ones.
func NewSchedule(name string, warmup, total int) (Schedule, error) {
	newSchedule, err := schedules.get(name)
	if err != nil {
		return nil, err
	}
	if warmup < 0 || total < 0 {
		return nil, fmt.Errorf("optim: schedule %s: %d warm-up steps of %d steps; neither can be negative", name, warmup, total)
	}
	return newSchedule(warmup, total), nil
}

// ScheduleNames returns the names of the registered schedules in lexical order.
func ScheduleNames() []string { return schedules.names() }

func init() {
	RegisterSchedule("constant", Constant)
	RegisterSchedule("linear", Linear)
	RegisterSchedule("cosine", Cosine)
}

// Constant rises linearly from 0 to 1 over the warm-up and stays there: get_constant_schedule_with_warmup of transformers.
func Constant(warmup, _ int) Schedule {
	return warmedUp(warmup, func(int) float64 { return 1 })
}

// Linear falls linearly from 1 after the warm-up to 0 at step total: get_linear_schedule_with_warmup of transformers.
func Linear(warmup, total int) Schedule {
	return warmedUp(warmup, func(step int) float64 {
		return max(0, float64(total-step)/float64(max(1, total-warmup)))
	})
}

// Cosine falls from 1 after the warm-up to 0 at step total along half a cosine wave: get_cosine_schedule_with_warmup of
// transformers with its default of half a cycle. Past total it stays at 0.
func Cosine(warmup, total int) Schedule {
	return warmedUp(warmup, func(step int) float64 {
		progress := min(1, float64(step-warmup)/float64(max(1, total-warmup)))
		return max(0, 0.5*(1+math.Cos(math.Pi*progress)))
	})
}

// warmedUp is a linear rise from 0 over warmup steps, then rest.
func warmedUp(warmup int, rest Schedule) Schedule {
	return func(step int) float64 {
		if step < warmup {
			return float64(step) / float64(max(1, warmup))
		}
		return rest(step)
	}
}
