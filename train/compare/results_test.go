package compare

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected results in testdata")

const three = `
base: builtin:quickstart.yaml
variants:
- {name: adamw, lr: [1e-3, 4e-3, 1.6e-2]}
- {name: fast<er>, lr: [1e-3, 4e-3]}
- {name: wild, lr: [1]}
baseline: adamw
seeds: [1, 2]
tune: {seeds: 1}
`

// known returns results whose figures can be checked by hand: adamw is best in the middle of its grid, faster at the upper end, wild
// diverges.
func known(t *testing.T) *Results {
	t.Helper()
	q := newQueue(mustParse(t, strings.Replace(three, "fast<er>", "faster", 1), "out=runs/known"))
	q.variants[1].Name = "fast<er>" // what no config allows: the page must survive it
	nan := math.NaN()
	for j, losses := range map[job][]float64{
		{0, 0, 0}: {3, 2.5, 2.4}, {0, 1, 0}: {3, 2.0, 2.2}, {0, 2, 0}: {3, nan},
		{0, 1, 1}: {3, 2.4, 2.2},
		{1, 0, 0}: {3, 2.6, 2.5}, {1, 1, 0}: {3, 1.9, 1.8}, {1, 1, 1}: {3, 2.3, 2.0},
		{2, 0, 0}: {3, 7, nan},
	} {
		q.outcomes[j] = outcome(q.Plan, j, losses...)
	}
	for v := range q.variants {
		q.decide(v)
	}
	r, err := q.results([]*Timing{{StepSeconds: 0.5, OptimizerSeconds: 0.05, Steps: 10}, {StepSeconds: 0.25, OptimizerSeconds: 0.05, Steps: 10}, nil})
	if err != nil {
		t.Fatal(err)
	}
	r.Setup.Threads, r.Setup.Platform = 2, "linux/amd64"
	return r
}

func TestFiguresOfKnownRuns(t *testing.T) {
	r := known(t)
	var order []string
	for _, v := range r.Variants {
		order = append(order, v.Name)
	}
	if want := []string{"fast<er>", "adamw", "wild"}; !reflect.DeepEqual(order, want) {
		t.Fatalf("order %v, want %v", order, want)
	}
	fast, base, wild := r.Variants[0], r.Variants[1], r.Variants[2]
	for _, c := range []struct {
		what string
		got  *Stat
		want *Stat
	}{
		{"best of adamw", base.Best, &Stat{2, 2.1, math.Sqrt(0.02), 2.0, 2.2}},
		{"final of adamw", base.Final, &Stat{2, 2.2, 0, 2.2, 2.2}},
		{"adamw against itself", base.Against, &Stat{2, 0, 0, 0, 0}},
		{"steps of adamw to its own best", base.ToBaseline, &Stat{2, 15, math.Sqrt(50), 10, 20}},
		{"best of faster", fast.Best, &Stat{2, 1.9, math.Sqrt(0.02), 1.8, 2.0}},
		{"faster against adamw", fast.Against, &Stat{2, -0.2, 0, -0.2, -0.2}},
		{"steps of faster", fast.ToBaseline, &Stat{2, 15, math.Sqrt(50), 10, 20}},
		{"best of wild", wild.Best, nil},
	} {
		if !near(c.got, c.want) {
			t.Errorf("%s: found %+v, want %+v", c.what, c.got, c.want)
		}
	}
	if base.LR != 4e-3 || base.Edge != "" || fast.LR != 4e-3 || fast.Edge != EdgeHigh || wild.LR != 0 || wild.Rates[0].DivergedAt != 20 {
		t.Errorf("learning rates %+v %+v %+v", base, fast, wild)
	}
	if *base.SecondsToBaseline != 7.5 || *fast.SecondsToBaseline != 3.75 || *fast.OptimizerShare != 0.2 || wild.StepSeconds != nil {
		t.Errorf("times %v %v %v", *base.SecondsToBaseline, *fast.SecondsToBaseline, *fast.OptimizerShare)
	}
	if want := (Point{10, Stat{2, 2.2, math.Sqrt(0.08), 2.0, 2.4}}); len(base.Curve) != 3 || !near(&base.Curve[1].Stat, &want.Stat) {
		t.Errorf("curve %+v", base.Curve)
	}
	if len(r.Runs) != 8 {
		t.Errorf("%d runs", len(r.Runs))
	}
}

func near(a, b *Stat) bool {
	if a == nil || b == nil {
		return a == b
	}
	for _, d := range []float64{a.Mean - b.Mean, a.Std - b.Std, a.Min - b.Min, a.Max - b.Max} {
		if math.Abs(d) > 1e-12 {
			return false
		}
	}
	return a.N == b.N
}

// TestTheTableReadsAsExpected compares the table with testdata/table.txt.
func TestTheTableReadsAsExpected(t *testing.T) {
	var b bytes.Buffer
	if err := known(t).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "table.txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || b.String() != string(want) {
		t.Errorf("found\n%s\nwant (%s, %v)\n%s", b.String(), path, err, want)
	}
}

func TestCSVAndJSONHoldTheFigures(t *testing.T) {
	r := known(t)
	paths, err := r.Save(t.TempDir())
	if err != nil || len(paths) != 4 {
		t.Fatal(paths, err)
	}
	dir := filepath.Dir(paths[0])
	f, err := os.Open(filepath.Join(dir, CSVFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) != 4 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	cell := func(line int, column string) string {
		for i, name := range lines[0] {
			if name == column {
				return lines[line][i]
			}
		}
		t.Errorf("no column %s", column)
		return ""
	}
	for _, c := range []struct {
		line         int
		column, want string
	}{
		{1, "variant", "fast<er>"}, {1, "lr", "0.004"}, {1, "lr_edge", "high"}, {1, "optimizer_share", "0.2"}, {2, "baseline", "true"},
		{2, "lr_tried", "0.001 0.004 0.016"}, {2, "best_loss_min", "2"}, {2, "steps_to_baseline", "15"}, {3, "lr", "0"}, {3, "best_loss", ""}, {3, "best_loss_n", "0"},
	} {
		if got := cell(c.line, c.column); got != c.want {
			t.Errorf("line %d, %s: %q, want %q", c.line, c.column, got, c.want)
		}
	}
	var again Results
	if found, err := readJSON(filepath.Join(dir, JSONFile), &again); !found || err != nil {
		t.Fatal(found, err)
	}
	a, _ := json.Marshal(r)
	if b, err := json.Marshal(again); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the JSON reads back as\n%s\nwant\n%s", b, a)
	}
}

// TestThePageIsWellFormedAndNeedsNothingElse reads the page as XML, as whose subset it is written.
func TestThePageIsWellFormedAndNeedsNothingElse(t *testing.T) {
	var b bytes.Buffer
	if err := known(t).WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	counts := map[string]int{}
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		counts[e.Name.Local]++
		for _, a := range e.Attr {
			if a.Name.Local == "src" || a.Name.Local == "href" || e.Name.Local == "script" {
				t.Errorf("<%s %s=%q> leads out of the page", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	// Four charts; in the first three, two lines (wild has none) with bands.
	if counts["svg"] != 4 || counts["polyline"] != 8 || counts["polygon"] != 6 || counts["tr"] != 4+4+9 {
		t.Errorf("elements %v", counts)
	}
	for _, want := range []string{
		"fast&lt;er&gt;", "<title>adamw, step 10: loss 2.2000 (2.0000 to 2.4000)</title>", "prefers-color-scheme: dark",
		"<title>wild, lr 1: diverged at step 20</title>", "learning rate</text>", "held-out loss (nats)</text>", "training step</text>",
		"1: diverged at step 20", "2.1000 ± 0.1414",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") || strings.Contains(page, "fast<er>") {
		t.Error("the page holds what is no number, or text that is not escaped")
	}
}

func TestOtherBatchesAreRefused(t *testing.T) {
	q := newQueue(mustParse(t, small, "seeds=[1]"))
	started(q, func(job) float64 { return 2 })
	q.outcomes[job{1, 0, 0}].Batches = "others"
	for v := range q.variants {
		q.decide(v)
	}
	_, err := q.results(make([]*Timing, 2))
	if err == nil || !strings.Contains(err.Error(), "adamw and 0.1 of sgd with seed 1 had other batches") {
		t.Errorf("error %v", err)
	}
}

// TestEveryVariantMayDiverge makes sure that reports can be written without any result, with one seed and without times.
func TestEveryVariantMayDiverge(t *testing.T) {
	q := newQueue(mustParse(t, small, "seeds=[1]", "timing=0"))
	started(q, func(job) float64 { return math.NaN() })
	r, err := q.results(make([]*Timing, 2))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, TextFile))
	if err != nil || !strings.Contains(string(text), "adamw diverged at every learning rate of its grid, first at step 10.") {
		t.Errorf("%v:\n%s", err, text)
	}
	page, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil || !strings.Contains(string(page), "Every variant diverged.") || strings.Contains(string(page), "NaN") {
		t.Errorf("%v:\n%s", err, page)
	}
}

func TestMeansOverSomeSeedsDoNotCompete(t *testing.T) {
	r := known(t)
	few := &r.Variants[1]
	seconds := 0.1
	few.Best, few.ToBaseline, few.SecondsToBaseline = &Stat{Mean: 0.1, N: 1}, &Stat{Mean: 1, N: 1}, &seconds
	titles := []string{"best loss", "steps to baseline", "time to baseline"}
	for i, row := range r.pageRows() {
		for c, cell := range row.Cells {
			if title := columns[c].title; slices.Contains(titles, title) && cell.Best != (i == 0) {
				t.Errorf("%s, %s: marked as best: %v", row.Name, title, cell.Best)
			}
		}
	}
	if text := few.cellOf(t, r, "time to baseline"); text != "0.1 s (1/2)" {
		t.Errorf("time to baseline %q", text)
	}
}

// cellOf returns the text of a column.
func (v *Row) cellOf(t *testing.T, r *Results, title string) string {
	t.Helper()
	for _, c := range columns {
		if c.title == title {
			return c.cell(v, &r.Setup)
		}
	}
	t.Fatalf("no column %q", title)
	return ""
}

// TestAnOutcomeThatIsNotOnDiskDoesNotCount lets a run end with an outcome that could not be written.
func TestAnOutcomeThatIsNotOnDiskDoesNotCount(t *testing.T) {
	s := &sweep{queue: newQueue(mustParse(t, small)), progress: newProgress(io.Discard, false, 1)}
	s.changed = sync.NewCond(&s.mu)
	canceled := false
	s.ended(job{0, 0, 0}, &Outcome{}, errors.New("disk full"), func() { canceled = true })
	if len(s.outcomes) > 0 || !canceled || s.failed == nil || !strings.Contains(s.failed.Error(), "seed 1: disk full") {
		t.Errorf("outcomes %v, canceled %v, failed %v", s.outcomes, canceled, s.failed)
	}
}
