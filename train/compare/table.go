package compare

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/geotune/geotune/internal/rss"
)

// missing stands in tables for what does not exist.
const missing = "–"

// column is one of the table, in text and in the page.
type column struct {
	title, explanation string
	cell               func(r *Row, s *Setup) string
}

// columns of the table after the variant's name.
var columns = []column{
	{"lr", "chosen learning rate of how many; < and >: the lowest or highest of the grid", func(r *Row, _ *Setup) string { return lrCell(r) }},
	{"best loss", "lowest held-out loss in nats, mean ± standard deviation over the seeds", func(r *Row, _ *Setup) string { return lossCell(r.Best) }},
	{"final loss", "held-out loss after the last step", func(r *Row, _ *Setup) string { return lossCell(r.Final) }},
	{"vs baseline", "best loss minus that of the baseline with the same seed", func(r *Row, _ *Setup) string { return differenceCell(r) }},
	{"steps to baseline", "first evaluated step with a loss as low as the baseline's best with the same seed; in brackets for how many seeds, where not all", stepsCell},
	{"time to baseline", "these steps times the time of a step, after the time of an initialisation from the gradient", func(r *Row, s *Setup) string {
		if r.SecondsToBaseline == nil {
			return missing
		}
		return fmt.Sprintf("%.1f s", *r.SecondsToBaseline) + s.someSeeds(r.ToBaseline)
	}},
	{"step", "time of a training step alone on the machine", func(r *Row, _ *Setup) string {
		if r.StepSeconds == nil {
			return missing
		}
		return milliseconds(*r.StepSeconds)
	}},
	{"optimizer", "share of the step inside the optimizer: the gradient's norm, clipping, rule and geometry", func(r *Row, _ *Setup) string {
		if r.OptimizerShare == nil {
			return missing
		}
		return fmt.Sprintf("%.1f %%", 100**r.OptimizerShare)
	}},
	{"state", "memory of the optimizer's state", func(r *Row, _ *Setup) string {
		if r.LR == 0 {
			return missing
		}
		return rss.Format(r.StateBytes)
	}},
	{"trained", "trained values", func(r *Row, _ *Setup) string {
		if r.LR == 0 {
			return missing
		}
		return strconv.Itoa(r.Trained)
	}},
}

func lrCell(r *Row) string {
	if r.LR == 0 {
		return "diverged"
	}
	mark := map[string]string{EdgeLow: "<", EdgeHigh: ">"}[r.Edge]
	return fmt.Sprintf("%s%s of %d", mark, shortRate(r.LR), len(r.Rates))
}

func lossCell(s *Stat) string {
	switch {
	case s == nil:
		return missing
	case s.N == 1:
		return fmt.Sprintf("%.4f", s.Mean)
	}
	return fmt.Sprintf("%.4f ± %.4f", s.Mean, s.Std)
}

func differenceCell(r *Row) string {
	switch s := r.Against; {
	case r.Baseline, s == nil:
		return missing
	case s.N == 1:
		return fmt.Sprintf("%+.4f", s.Mean)
	default:
		return fmt.Sprintf("%+.4f ± %.4f", s.Mean, s.Std)
	}
}

func stepsCell(r *Row, s *Setup) string {
	if r.ToBaseline == nil {
		return missing
	}
	return fmt.Sprintf("%.0f", r.ToBaseline.Mean) + s.someSeeds(r.ToBaseline)
}

// someSeeds says in brackets for how many seeds a figure stands, where not for all.
func (s *Setup) someSeeds(f *Stat) string {
	if f.N == len(s.Seeds) {
		return ""
	}
	return fmt.Sprintf(" (%d/%d)", f.N, len(s.Seeds))
}

// WriteText writes the table for people, with notes below it.
func (r *Results) WriteText(w io.Writer) error {
	rows := [][]string{{"variant"}}
	for _, c := range columns {
		rows[0] = append(rows[0], c.title)
	}
	for i := range r.Variants {
		v := &r.Variants[i]
		name := v.Name
		if v.Baseline {
			name += " (baseline)"
		}
		cells := []string{name}
		for _, c := range columns {
			cells = append(cells, c.cell(v, &r.Setup))
		}
		rows = append(rows, cells)
	}
	text := aligned(rows) + "\n"
	for _, s := range []string{r.Setup.sharing(), r.Setup.procedure(), r.Setup.timing()} {
		text += wrapped(s, "", 120)
	}
	for _, s := range r.Notes {
		text += wrapped("* "+s, "  ", 120)
	}
	_, err := io.WriteString(w, text)
	return err
}

// aligned writes rows with columns of equal width, the first to the left, the others to the right.
func aligned(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// wrapped breaks text into lines of at most width characters, all but the first with an indent.
func wrapped(text, indent string, width int) string {
	var b strings.Builder
	at := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
		case at+1+n > width:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String() + "\n"
}

// WriteCSV writes a line for each variant with all figures. Cells without a value are empty.
func (r *Results) WriteCSV(w io.Writer) error {
	header := []string{"variant", "baseline", "settings", "lr", "lr_tried", "lr_edge", "seeds", "diverged_seeds"}
	for _, name := range []string{"best_loss", "final_loss", "best_loss_minus_baseline", "steps_to_baseline"} {
		header = append(header, name, name+"_std", name+"_min", name+"_max", name+"_n")
	}
	header = append(header, "seconds_to_baseline", "start_s", "step_s", "optimizer_share", "state_bytes", "trained")
	lines := [][]string{header}
	for _, v := range r.Variants {
		var tried []string
		for _, rate := range v.Rates {
			tried = append(tried, rateText(rate.LR))
		}
		line := []string{
			v.Name, strconv.FormatBool(v.Baseline), strings.Join(v.Settings, " "), rateText(v.LR), strings.Join(tried, " "), v.Edge,
			strconv.Itoa(len(r.Setup.Seeds)), strconv.Itoa(v.Diverged),
		}
		for _, s := range []*Stat{v.Best, v.Final, v.Against, v.ToBaseline} {
			line = append(line, s.cells()...)
		}
		for _, f := range []*float64{v.SecondsToBaseline, &v.StartSeconds, v.StepSeconds, v.OptimizerShare} {
			line = append(line, number(f))
		}
		lines = append(lines, append(line, strconv.FormatInt(v.StateBytes, 10), strconv.Itoa(v.Trained)))
	}
	return csv.NewWriter(w).WriteAll(lines)
}

// cells are the figures of s in the order of the header.
func (s *Stat) cells() []string {
	if s == nil {
		return []string{"", "", "", "", "0"}
	}
	return []string{number(&s.Mean), number(&s.Std), number(&s.Min), number(&s.Max), strconv.Itoa(s.N)}
}

func number(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}
