package compare

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html.tmpl
var reportText string

var reportTemplate = template.Must(template.New("report").Parse(reportText))

// page is what the template shows.
type page struct {
	Title, Summary string
	Columns        []pageColumn
	Rows           []pageRow
	Notes, How     []string
	Figures        []pageFigure
	Settings       []pageSettings
	Runs           []pageRun
}

type pageColumn struct{ Title, Explanation string }

type pageRow struct {
	Name     string
	Baseline bool
	Color    string
	Cells    []pageCell
}

type pageCell struct {
	Text string
	Best bool // the best of its column
}

type pageFigure struct {
	Title, Caption string
	SVG            template.HTML
}

type pageSettings struct {
	Name, Settings string
	Rates          []string
}

type pageRun struct{ Variant, LR, Seed, Best, Final, Steps string }

// WriteHTML writes a page that needs no other file: the table, curves, and how they came about.
func (r *Results) WriteHTML(w io.Writer) error {
	p := page{
		Title: r.Setup.Title, Summary: r.summary(), Rows: r.pageRows(), Notes: r.Notes,
		How: []string{r.Setup.sharing(), r.Setup.procedure(), r.Setup.timing()},
	}
	for _, c := range columns {
		p.Columns = append(p.Columns, pageColumn{c.title, c.explanation})
	}
	for _, f := range r.figures() {
		p.Figures = append(p.Figures, pageFigure{f.title, f.caption, template.HTML(f.chart.svg())}) //nolint:gosec // names are escaped there
	}
	for _, v := range r.Variants {
		s := pageSettings{Name: v.Name, Settings: strings.Join(v.Settings, ", ")}
		for _, rate := range v.Rates {
			s.Rates = append(s.Rates, rate.String())
		}
		p.Settings = append(p.Settings, s)
	}
	for _, o := range r.Runs {
		run := pageRun{Variant: o.Variant, LR: shortRate(o.LR), Seed: fmt.Sprint(o.Seed), Steps: fmt.Sprint(o.Steps), Best: missing, Final: fmt.Sprintf("diverged at step %d", o.DivergedAt)}
		if !o.Diverged {
			run.Best, run.Final = fmt.Sprintf("%.4f", o.Best()), fmt.Sprintf("%.4f", o.Final())
		}
		p.Runs = append(p.Runs, run)
	}
	return reportTemplate.Execute(w, p)
}

// summary is the outcome in a sentence.
func (r *Results) summary() string {
	s := fmt.Sprintf("%d variants on %s, base adapter %s, schedule %s.", len(r.Variants), r.Setup.Model, r.Setup.Adapter, r.Setup.Schedule)
	best := &r.Variants[0]
	if best.Best == nil {
		return s + " Every variant diverged."
	}
	s += fmt.Sprintf(" Lowest held-out loss: %s with %s", best.Name, lossCell(best.Best))
	switch {
	case best.Baseline:
		s += ", the baseline"
	case best.Against != nil:
		s += fmt.Sprintf(", against the baseline %s %s", r.Setup.Baseline, differenceCell(best))
	}
	return s + fmt.Sprintf(". Before training it was %.4f.", r.Setup.StartLoss)
}

// String is the rate with its loss or where it diverged.
func (r Rate) String() string {
	switch {
	case r.Diverged > 0:
		return fmt.Sprintf("%s: diverged at step %d", shortRate(r.LR), r.DivergedAt)
	case r.Loss == nil:
		return shortRate(r.LR)
	}
	return fmt.Sprintf("%s: %.4f", shortRate(r.LR), r.Loss.Mean)
}

// pageRows returns the table's cells, the best of those columns marked in which one can be best.
func (r *Results) pageRows() []pageRow {
	figures := map[string]func(*Row) *float64{
		"best loss":         func(v *Row) *float64 { return r.whole(v, v.Best).mean() },
		"final loss":        func(v *Row) *float64 { return r.whole(v, v.Final).mean() },
		"steps to baseline": func(v *Row) *float64 { return r.whole(v, v.ToBaseline).mean() },
		"time to baseline": func(v *Row) *float64 {
			if r.whole(v, v.ToBaseline) == nil {
				return nil
			}
			return v.SecondsToBaseline
		},
		"step": func(v *Row) *float64 { return v.StepSeconds },
	}
	least := map[string]float64{}
	for title, figure := range figures {
		for i := range r.Variants {
			f := figure(&r.Variants[i])
			if f == nil {
				continue
			}
			if l, ok := least[title]; !ok || *f < l {
				least[title] = *f
			}
		}
	}
	var rows []pageRow
	for i := range r.Variants {
		v := &r.Variants[i]
		row := pageRow{Name: v.Name, Baseline: v.Baseline, Color: fmt.Sprintf("s%d", r.color(v.Name)%palette)}
		for _, c := range columns {
			cell := pageCell{Text: c.cell(v, &r.Setup)}
			if figure := figures[c.title]; figure != nil {
				f := figure(v)
				cell.Best = f != nil && *f == least[c.title]
			}
			row.Cells = append(row.Cells, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

// whole returns s if it is over all seeds: a mean over those that happened to get somewhere does not compete with the means of others.
func (r *Results) whole(v *Row, s *Stat) *Stat {
	if s == nil || v.Diverged > 0 || s.N < len(r.Setup.Seeds) {
		return nil
	}
	return s
}

func (s *Stat) mean() *float64 {
	if s == nil {
		return nil
	}
	return &s.Mean
}
