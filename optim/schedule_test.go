package optim_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/internal/goldens"
	"github.com/geotune/geotune/optim"
)

func TestSchedulesFollowTransformers(t *testing.T) {
	for _, c := range []struct {
		name          string
		warmup, total int
		want          map[int]float64
	}{
		{"constant", 0, 10, map[int]float64{0: 1, 9: 1, 100: 1}},
		{"constant", 4, 10, map[int]float64{0: 0, 1: 0.25, 3: 0.75, 4: 1, 9: 1}},
		{"linear", 0, 10, map[int]float64{0: 1, 1: 0.9, 9: 0.1, 10: 0, 11: 0}},
		{"linear", 2, 10, map[int]float64{0: 0, 1: 0.5, 2: 1, 6: 0.5, 10: 0}},
		{"linear", 10, 10, map[int]float64{0: 0, 9: 0.9, 10: 0}},
		{"cosine", 0, 8, map[int]float64{0: 1, 2: 0.5 + math.Sqrt2/4, 4: 0.5, 8: 0, 12: 0}},
		{"cosine", 2, 10, map[int]float64{0: 0, 1: 0.5, 2: 1, 6: 0.5, 10: 0}},
		{"cosine", 0, 0, map[int]float64{0: 1}},
	} {
		schedule, err := optim.NewSchedule(c.name, c.warmup, c.total)
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range c.want {
			if got := schedule(step); math.Abs(got-want) > 1e-15 {
				t.Errorf("%s, warm-up %d of %d: step %d has factor %v, want %v", c.name, c.warmup, c.total, step, got, want)
			}
		}
	}
}

// The trajectories of the Python libraries record the learning rate of every step.
func TestSchedulesMatchReferenceTrajectories(t *testing.T) {
	for _, dir := range goldens.Match(t, "traj_*") {
		data, err := os.ReadFile(filepath.Join(dir, "case.json"))
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			LRs       []float64
			Optimizer struct{ LR float64 }
			Schedule  *struct {
				Name   string
				Warmup int
			}
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		name, warmup := "constant", 0
		if c.Schedule != nil {
			name, warmup = c.Schedule.Name, c.Schedule.Warmup
		}
		schedule, err := optim.NewSchedule(name, warmup, len(c.LRs))
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range c.LRs {
			if got := c.Optimizer.LR * schedule(step); math.Abs(got-want) > 1e-14*want {
				t.Errorf("%s: step %d has learning rate %v, want %v", filepath.Base(dir), step, got, want)
			}
		}
	}
}

func TestNamesAreListedAndUnknownOnesExplained(t *testing.T) {
	if names := optim.Names(); !slices.IsSorted(names) || !slices.Contains(names, "adamw") || !slices.Contains(names, "sgd") {
		t.Errorf("rules %v", names)
	}
	if names := optim.ScheduleNames(); !slices.Equal(names, []string{"constant", "cosine", "linear"}) {
		t.Errorf("schedules %v", names)
	}
	_, err := optim.NewRule("AdmW")
	if err == nil || !strings.Contains(err.Error(), `unknown optimizer "AdmW"; known are adamw`) || !strings.HasSuffix(err.Error(), `did you mean adamw?`) {
		t.Errorf("error %v", err)
	}
	if _, err = optim.NewSchedule("cosin", 0, 1); err == nil || !strings.HasSuffix(err.Error(), `known are constant, cosine, linear; did you mean cosine?`) {
		t.Errorf("error %v", err)
	}
	if _, err = optim.NewSchedule("polynomial-decay", 0, 1); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("error %v suggests a name for one that is far from all", err)
	}
	if _, err = optim.NewSchedule("linear", -1, 10); err == nil {
		t.Error("a negative warm-up was accepted")
	}
}

func TestRegisteringANameTwicePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	optim.Register("adamw", func() optim.Rule { return nil })
}
