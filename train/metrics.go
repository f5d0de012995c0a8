package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/geotune/geotune/internal/atomicfile"
)

// MetricsFile is the name of the metrics in a run's folder.
const MetricsFile = "metrics.jsonl"

// stepLine and evalLine are the lines of metrics.jsonl. Numbers that depend on the clock come last, so that the rest of two runs
// can be compared as text.
type stepLine struct {
	Step     int     `json:"step"`
	Loss     float64 `json:"loss"`
	LR       float64 `json:"lr"`
	GradNorm float64 `json:"grad_norm"`
	// SigmaRatio is the smallest σ_r/σ₁ of the low-rank updates, in layer SigmaLayer, in the lines of steps that measured it.
	SigmaRatio *float64 `json:"sigma_ratio_min,omitempty"`
	SigmaLayer string   `json:"sigma_ratio_layer,omitempty"`
	Tokens     *int     `json:"tokens,omitempty"`
	Images     *int     `json:"images,omitempty"`
	Targets    int      `json:"targets"`
	Epoch      int      `json:"epoch"`
	Seconds    float64  `json:"step_s"`
	// Optimizer is the part of Seconds inside the optimizer.
	Optimizer float64 `json:"optimizer_s"`
}

type evalLine struct {
	Step    int     `json:"step"`
	Loss    float64 `json:"eval_loss"`
	Targets int     `json:"eval_targets"`
	Best    bool    `json:"best"`
	Seconds float64 `json:"eval_s"`
}

// MetricsLog appends a line for every step and evaluation to a file.
type MetricsLog struct {
	f    *os.File
	unit string
}

// OpenMetrics opens the log at path and keeps only the lines up to step, which a resumed run continues after. unit names what the
// task's items are: "tokens" or "images".
func OpenMetrics(path string, step int, unit string) (*MetricsLog, error) {
	if err := truncateMetrics(path, step); err != nil {
		return nil, fmt.Errorf("train: metrics: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, fmt.Errorf("train: metrics: %w", err)
	}
	return &MetricsLog{f, unit}, nil
}

// truncateMetrics drops the lines of later steps and a last line that was cut off.
func truncateMetrics(path string, step int) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	lines := bufio.NewReader(bytes.NewReader(data))
	for {
		line, err := lines.ReadBytes('\n')
		var at struct {
			Step int `json:"step"`
		}
		if err == nil && json.Unmarshal(line, &at) == nil && at.Step <= step {
			kept.Write(line)
		}
		if err != nil {
			break
		}
	}
	if kept.Len() == len(data) {
		return nil
	}
	return atomicfile.WriteBytes(path, kept.Bytes())
}

// Step appends the line of a step.
func (l *MetricsLog) Step(m StepMetrics) error {
	line := stepLine{
		Step: m.Step, Loss: m.Loss, LR: m.LR, GradNorm: m.GradNorm,
		Targets: m.Targets, Epoch: m.Epoch, Seconds: m.Duration.Seconds(), Optimizer: m.Optimizer.Seconds(),
	}
	if m.Spectrum.Point != "" {
		line.SigmaRatio, line.SigmaLayer = &m.Spectrum.Ratio, m.Spectrum.Point
	}
	if l.unit == "images" {
		line.Images = &m.Items
	} else {
		line.Tokens = &m.Items
	}
	return l.write(line)
}

// Eval appends the line of an evaluation.
func (l *MetricsLog) Eval(m EvalMetrics) error {
	return l.write(evalLine{Step: m.Step, Loss: m.Loss, Targets: m.Targets, Best: m.Best, Seconds: m.Duration.Seconds()})
}

func (l *MetricsLog) write(v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = l.f.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("train: metrics: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *MetricsLog) Close() error { return l.f.Close() }
