package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/internal/gemmcases"
	"github.com/geotune/geotune/internal/names"
)

// GemmOptions say which matrix products are measured.
type GemmOptions struct {
	// Threads are the numbers of threads, each of which gets a run of its own; empty means 1 and GOMAXPROCS.
	Threads []int
	// Budget is the time for each form of each product. At least five runs are measured, however long they take.
	Budget time.Duration
	// Kinds restricts the products; empty means all.
	Kinds []string
}

// GemmResult holds the rates of matrix products.
type GemmResult struct {
	Bench   string    `json:"bench"`
	Budget  float64   `json:"budget_s"`
	Machine Machine   `json:"machine"`
	Runs    []GemmRun `json:"runs"`
}

// GemmRun holds the rates with one number of threads.
type GemmRun struct {
	Threads    int        `json:"threads"`
	PeakGFLOPS float64    `json:"peak_gflops"` // rate of multiply-adds in registers
	Cases      []GemmCase `json:"cases"`
	// Others is how many cores other programs kept busy meanwhile; the figures mean little unless it is near 0.
	Others *float64 `json:"others_busy_cores,omitempty"`
}

// GemmCase holds the rates of one product.
type GemmCase struct {
	gemmcases.Case
	Rate
	// Packed and PackedBF16 are the rates with a right operand that was packed before, in float32 and, as frozen weights of 16 bits are, in
	// bfloat16; for layers and heads.
	Packed     *Rate `json:"packed,omitempty"`
	PackedBF16 *Rate `json:"packed_bf16,omitempty"`
	// Gonum is the rate of gonum's Sgemm, for small products, and VsGonum ours as a multiple of it, median by median.
	Gonum   *Rate   `json:"gonum,omitempty"`
	VsGonum float64 `json:"vs_gonum,omitempty"`
}

// Rate is how fast a product is computed.
type Rate struct {
	GFLOPS      float64 `json:"gflops"` // by the median time
	GFLOPSBest  float64 `json:"gflops_best"`
	ShareOfPeak float64 `json:"share_of_peak"` // by the median time
	Median      float64 `json:"us_median"`
	Min         float64 `json:"us_min"`
}

// gonumMost is the size of a product in operations up to which gonum is measured, which is slow.
const gonumMost = 4e7

// GemmKinds returns the kinds of products.
func GemmKinds() []string {
	var kinds []string
	for _, c := range gemmcases.All() {
		if !slices.Contains(kinds, c.Kind) {
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}

// Gemm measures matrix products. It sets GOMAXPROCS for as long as it runs. When ctx ends, it returns its error.
func Gemm(ctx context.Context, o GemmOptions) (*GemmResult, error) {
	cases, err := o.cases()
	if err != nil {
		return nil, err
	}
	if len(o.Threads) == 0 {
		o.Threads = slices.Compact([]int{1, runtime.GOMAXPROCS(0)})
	}
	r := &GemmResult{Bench: "gemm", Budget: o.Budget.Seconds(), Machine: thisMachine()}
	for _, n := range o.Threads {
		run, err := gemmRun(ctx, n, o.Budget, cases)
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, run)
	}
	return r, nil
}

func (o GemmOptions) cases() ([]gemmcases.Case, error) {
	if o.Budget < 0 {
		return nil, UsageError{fmt.Sprintf("budget %v; expected a time that is not negative", o.Budget)}
	}
	for _, n := range o.Threads {
		if err := checkThreads(n); err != nil {
			return nil, err
		}
	}
	for _, k := range o.Kinds {
		if !slices.Contains(GemmKinds(), k) {
			return nil, UsageError{names.Unknown("kind", k, GemmKinds())}
		}
	}
	all := gemmcases.All()
	if len(o.Kinds) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(c gemmcases.Case) bool { return !slices.Contains(o.Kinds, c.Kind) }), nil
}

func gemmRun(ctx context.Context, n int, budget time.Duration, cases []gemmcases.Case) (GemmRun, error) {
	threads, restore, err := useThreads(n)
	if err != nil {
		return GemmRun{}, err
	}
	defer restore()
	start := busyNow()
	run := GemmRun{Threads: threads, PeakGFLOPS: rounded(peak(threads), 1)}
	for _, c := range cases {
		p := newProduct(c)
		m := GemmCase{Case: c}
		for _, form := range p.forms(&m) {
			if ctx.Err() != nil {
				return run, ctx.Err()
			}
			*form.rate = rateOf(form.run, c.Operations(), budget, run.PeakGFLOPS)
		}
		if m.Gonum != nil {
			m.VsGonum = rounded(m.GFLOPS/m.Gonum.GFLOPS, 2)
		}
		run.Cases = append(run.Cases, m)
	}
	run.Others = start.others()
	return run, nil
}

// gemmProduct is a case with random operands.
type gemmProduct struct {
	gemmcases.Case
	a, b, c cpu.Mat
}

func newProduct(c gemmcases.Case) *gemmProduct {
	rng := rand.New(rand.NewPCG(seed, 3))
	data := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32() - 0.5
		}
		return x
	}
	p := &gemmProduct{c, cpu.Dense(data(c.Batch*c.M*c.K), c.M, c.K), cpu.Dense(data(c.Batch*c.K*c.N), c.K, c.N), cpu.Dense(data(c.Batch*c.M*c.N), c.M, c.N)}
	if c.Layout == "TN" {
		p.a = cpu.Dense(p.a.Data, c.K, c.M).T()
	}
	if c.Layout == "NT" {
		p.b = cpu.Dense(p.b.Data, c.N, c.K).T()
	}
	return p
}

// form is one way to compute a product, and where its rate goes.
type form struct {
	run  func()
	rate *Rate
}

func (p *gemmProduct) forms(m *GemmCase) []form {
	forms := []form{{func() { cpu.GemmBatch(p.Batch, 1, p.a, p.b, 0, p.c, p.M*p.K, p.K*p.N, p.M*p.N) }, &m.Rate}}
	if (p.Kind == "layer" || p.Kind == "head") && p.Layout != "TN" {
		m.Packed, m.PackedBF16 = new(Rate), new(Rate)
		forms = append(forms, p.packed(m.Packed, false), p.packed(m.PackedBF16, true))
	}
	if p.Batch == 1 && p.Operations() <= gonumMost {
		m.Gonum = new(Rate)
		forms = append(forms, form{p.gonum, m.Gonum})
	}
	return forms
}

// packed returns the product with b packed, when it is first run.
func (p *gemmProduct) packed(rate *Rate, bf16 bool) form {
	var b *cpu.PackedB
	return form{func() {
		if b == nil {
			w := cpu.Weights{F32: p.b.Data, Rows: p.K, Cols: p.N}
			if p.Layout == "NT" {
				w.Rows, w.Cols = p.N, p.K
			}
			if bf16 {
				w.F32, w.BF16 = nil, make([]uint16, len(p.b.Data))
				for i, v := range p.b.Data {
					w.BF16[i] = cpu.F32ToBF16(v)
				}
			}
			b = cpu.PackB(w, p.Layout == "NT")
		}
		cpu.GemmPacked(1, p.a, b, 0, p.c)
	}, rate}
}

func (p *gemmProduct) gonum() {
	tA, lda, tB, ldb := blas.NoTrans, p.K, blas.NoTrans, p.N
	if p.Layout == "TN" {
		tA, lda = blas.Trans, p.M
	}
	if p.Layout == "NT" {
		tB, ldb = blas.Trans, p.K
	}
	gonum.Implementation{}.Sgemm(tA, tB, p.M, p.N, p.K, 1, p.a.Data, lda, p.b.Data, ldb, 0, p.c.Data, p.N)
}

// rateOf measures f, which does a number of operations, again and again. Tiny ones are timed several together.
func rateOf(f func(), operations float64, budget time.Duration, peak float64) Rate {
	f()
	start := time.Now()
	f()
	together := max(1, int(200*time.Microsecond/max(time.Since(start), 100*time.Nanosecond)))
	var times []time.Duration
	for end := time.Now().Add(budget); len(times) < 5 || time.Now().Before(end); {
		start = time.Now()
		for range together {
			f()
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	seconds := func(i int) float64 { return times[i].Seconds() / float64(together) }
	median, best := seconds(len(times)/2), seconds(0)
	rate := operations / median / 1e9
	return Rate{
		GFLOPS: rounded(rate, 1), GFLOPSBest: rounded(operations/best/1e9, 1), ShareOfPeak: rounded(rate/peak, 4),
		Median: rounded(1e6*median, 2), Min: rounded(1e6*best, 2),
	}
}
