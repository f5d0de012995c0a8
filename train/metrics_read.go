package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/geotune/geotune/optim"
)

// Metrics are the numbers in a run's metrics file, in its order.
type Metrics struct {
	Steps []StepMetrics
	Evals []EvalMetrics
}

// ReadMetrics reads the file that a MetricsLog wrote at path. A last line that was cut off is left out.
func ReadMetrics(path string) (Metrics, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Metrics{}, fmt.Errorf("train: read metrics: %w", err)
	}
	m, err := parseMetrics(data)
	if err != nil {
		return Metrics{}, fmt.Errorf("train: read metrics: %s:%w", path, err)
	}
	return m, nil
}

// parseMetrics reads the lines of a metrics file. Errors begin with the number of the line.
func parseMetrics(data []byte) (Metrics, error) {
	var m Metrics
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return m, nil
		}
		data = rest
		if err := m.add(line); err != nil {
			return m, fmt.Errorf("%d: %w", n, err)
		}
	}
}

// add takes up a line of either kind.
func (m *Metrics) add(line []byte) error {
	var kind struct {
		Loss     *float64 `json:"loss"`
		EvalLoss *float64 `json:"eval_loss"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return err
	}
	switch {
	case kind.EvalLoss != nil:
		var l evalLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Evals = append(m.Evals, EvalMetrics{
			Step: l.Step, Evaluation: Evaluation{Loss: l.Loss, Targets: l.Targets}, Best: l.Best, Duration: seconds(l.Seconds),
		})
	case kind.Loss != nil:
		var l stepLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		m.Steps = append(m.Steps, l.metrics())
	default:
		return fmt.Errorf("neither loss nor eval_loss in this line; is this a run's %s?", MetricsFile)
	}
	return nil
}

func (l stepLine) metrics() StepMetrics {
	m := StepMetrics{
		Step: l.Step, Loss: l.Loss, LR: l.LR, GradNorm: l.GradNorm, Targets: l.Targets, Epoch: l.Epoch,
		Duration: seconds(l.Seconds), Optimizer: seconds(l.Optimizer),
	}
	if l.SigmaRatio != nil {
		m.Spectrum = optim.Spectrum{Ratio: *l.SigmaRatio, Point: l.SigmaLayer}
	}
	for _, items := range []*int{l.Tokens, l.Images} {
		if items != nil {
			m.Items = *items
		}
	}
	return m
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
