package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/geotune/geotune/internal/gemmcases"
)

// gemmCases are the products that rival libraries are measured on, and some of generation.
func gemmCases() []gemmcases.Case {
	cases := gemmcases.All()
	add := func(kind string, m, k, n int, layouts ...string) {
		for _, l := range layouts {
			cases = append(cases, gemmcases.Case{Kind: kind, Batch: 1, M: m, K: k, N: n, Layout: l})
		}
	}
	for _, m := range []int{1, 2, 4, 8} {
		add("decode", m, 2048, 2048, "NT", "NN")
	}
	add("vector", 2048, 2048, 1, "NN")
	add("layer", 128, 768, 3072, "NN", "NT")
	return cases
}

// operands returns random a and b, and c.
func operands(g gemmcases.Case) (a, b, c Mat) {
	r := rand.New(rand.NewPCG(1, 1))
	data := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = r.Float32() - 0.5
		}
		return x
	}
	a, b = Dense(data(g.Batch*g.M*g.K), g.M, g.K), Dense(data(g.Batch*g.K*g.N), g.K, g.N)
	if g.Layout == "TN" {
		a = Dense(a.Data, g.K, g.M).T()
	}
	if g.Layout == "NT" {
		b = Dense(b.Data, g.N, g.K).T()
	}
	return a, b, Dense(make([]float32, g.Batch*g.M*g.N), g.M, g.N)
}

// measure runs f as often as b asks for and reports the rate, and that of the best run, which other load on the machine disturbs less.
func measure(b *testing.B, flops float64, f func()) {
	best := time.Hour
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(flops/best.Seconds()/1e9, "best-GFLOP/s")
}

// BenchmarkGemm reports the rate of each shape with the number of threads given by -cpu.
func BenchmarkGemm(b *testing.B) {
	for _, g := range gemmCases() {
		b.Run(g.String(), func(b *testing.B) {
			x, y, z := operands(g)
			measure(b, g.Operations(), func() { GemmBatch(g.Batch, 1, x, y, 0, z, g.M*g.K, g.K*g.N, g.M*g.N) })
		})
	}
}

// BenchmarkGemmPacked multiplies by weights that were packed before, in float32 and in bfloat16.
func BenchmarkGemmPacked(b *testing.B) {
	for _, g := range gemmCases() {
		if g.Batch > 1 || g.Layout != "NT" {
			continue
		}
		x, y, z := operands(g)
		w := Weights{F32: y.Data, Rows: g.N, Cols: g.K}
		low := Weights{BF16: make([]uint16, len(y.Data)), Rows: g.N, Cols: g.K}
		for i, v := range y.Data {
			low.BF16[i] = F32ToBF16(v)
		}
		for _, p := range []*PackedB{PackB(w, true), PackB(low, true)} {
			b.Run(fmt.Sprintf("%dMiB/", p.Bytes()>>20)+g.String(), func(b *testing.B) {
				measure(b, g.Operations(), func() { GemmPacked(1, x, p, 0, z) })
			})
		}
	}
}
