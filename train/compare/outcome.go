package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// outcomeFile stands in a run's folder when the run is finished.
const outcomeFile = "outcome.json"

// Outcome is what came of one run.
type Outcome struct {
	Variant string  `json:"variant"`
	LR      float64 `json:"lr"`
	Seed    uint64  `json:"seed"`
	// Steps is how many optimizer steps were taken.
	Steps int `json:"steps"`
	// Diverged says that the run ended early because its numbers were not finite: at step DivergedAt, as Reason says.
	Diverged   bool   `json:"diverged"`
	DivergedAt int    `json:"diverged_at,omitempty"`
	Reason     string `json:"reason,omitempty"`
	// Data identifies tokenizer, data and batches, and Batches the sizes of all batches in their order.
	Data    string `json:"data"`
	Batches string `json:"batches"`
	// Tokens were put through the model.
	Tokens int64 `json:"tokens"`
	// Trained is the number of trained values, StateBytes the memory of the optimizer's state.
	Trained    int   `json:"trained"`
	StateBytes int64 `json:"state_bytes"`
	// Evals are the evaluations on held-out data, the first before the first step.
	Evals []Eval `json:"evals"`
}

// Eval is the held-out loss after a step.
type Eval struct {
	Step int     `json:"step"`
	Loss float64 `json:"loss"`
}

// Final returns the held-out loss after the last step, and Best the lowest after any; both are infinite for a run that diverged.
func (o *Outcome) Final() float64 {
	if o.Diverged || len(o.Evals) == 0 {
		return math.Inf(1)
	}
	return o.Evals[len(o.Evals)-1].Loss
}

// Best returns the lowest held-out loss after any step.
func (o *Outcome) Best() float64 {
	if o.Diverged {
		return math.Inf(1)
	}
	best := math.Inf(1)
	for _, e := range o.Evals {
		if e.Step > 0 {
			best = min(best, e.Loss)
		}
	}
	return best
}

// collect reads the outcome of a run that has come to its end, or has diverged.
func collect(j Outcome, cfg *train.Config, facts run.Facts, diverged *train.DivergedError) (*Outcome, error) {
	m, err := train.ReadMetrics(filepath.Join(cfg.Out, train.MetricsFile))
	if err != nil {
		return nil, err
	}
	o := &j
	o.Data, o.Trained, o.StateBytes = facts.Fingerprint, facts.Trained, facts.StateBytes
	if diverged != nil {
		o.Diverged, o.DivergedAt, o.Reason = true, diverged.Step, diverged.Error()
	}
	for _, e := range m.Evals {
		o.Evals = append(o.Evals, Eval{e.Step, e.Loss})
	}
	batches := sha256.New()
	for _, s := range m.Steps {
		fmt.Fprintf(batches, "%d %d %d\n", s.Items, s.Targets, s.Epoch)
		o.Tokens += int64(s.Items)
		o.Steps = s.Step
	}
	o.Batches = hex.EncodeToString(batches.Sum(nil))
	return o, nil
}

// save writes the outcome into the run's folder.
func (o *Outcome) save(dir string) error { return writeJSON(filepath.Join(dir, outcomeFile), o) }

// writeJSON replaces the file at path by v.
func writeJSON(path string, v any) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(v)
	})
}

// readJSON reads the file at path into v and reports whether it exists.
func readJSON(path string, v any) (found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return true, fmt.Errorf("compare: read %s: %w; remove it to do its work again", path, err)
	}
	return true, nil
}
