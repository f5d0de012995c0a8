package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// gemmCase is a product of the lists that rival libraries are measured on: NN = a (m,k) times b (k,n), NT = b stored (n,k), as in
// y = x Wᵀ, TN = a stored (k,m), as in a weight gradient.
type gemmCase struct {
	kind           string
	batch, m, k, n int
	layout         string
}

func gemmCases() []gemmCase {
	var cases []gemmCase
	for _, n := range []int{64, 128, 256, 512, 1024, 2048} {
		cases = append(cases, gemmCase{"square", 1, n, n, n, "NN"})
	}
	for _, l := range []string{"NN", "NT", "TN"} {
		cases = append(cases, gemmCase{"layer", 1, 512, 2048, 2048, l})
	}
	cases = append(cases, gemmCase{"layer", 1, 1024, 768, 2304, "NT"}, gemmCase{"layer", 1, 1024, 768, 2304, "NN"},
		gemmCase{"head", 1, 1024, 768, 50257, "NT"})
	for _, d := range []int{768, 2048} {
		cases = append(cases, gemmCase{"lora", 1, 1024, d, 16, "NT"}, gemmCase{"lora", 1, 1024, 16, d, "NT"},
			gemmCase{"lora", 1, 16, 1024, d, "TN"}, gemmCase{"lora", 1, d, 1024, 16, "TN"})
	}
	cases = append(cases, gemmCase{"attention", 48, 256, 64, 256, "NT"}, gemmCase{"attention", 48, 256, 256, 64, "NN"},
		gemmCase{"attention", 48, 256, 256, 64, "TN"}, gemmCase{"attention", 8, 1024, 32, 1024, "NT"},
		gemmCase{"attention", 8, 1024, 1024, 32, "NN"}, gemmCase{"attention", 8, 1024, 32, 77, "NT"})
	for _, b := range []int{8, 16, 32, 64} {
		cases = append(cases, gemmCase{"blocks-x-tokens", 1024 / b, 1024, b, b, "NT"})
	}
	for _, b := range []int{8, 16, 20, 32, 40, 64} {
		cases = append(cases, gemmCase{"blocks", 512, b, b, b, "NN"})
	}
	for _, m := range []int{1, 2, 4, 8} {
		cases = append(cases, gemmCase{"decode", 1, m, 2048, 2048, "NT"}, gemmCase{"decode", 1, m, 2048, 2048, "NN"})
	}
	return append(cases, gemmCase{"vector", 1, 2048, 2048, 1, "NN"}, gemmCase{"layer", 1, 128, 768, 3072, "NN"}, gemmCase{"layer", 1, 128, 768, 3072, "NT"})
}

func (g gemmCase) String() string {
	return fmt.Sprintf("%s/%dx%dx%dx%d/%s", g.kind, g.batch, g.m, g.k, g.n, g.layout)
}

func (g gemmCase) flops() float64 {
	return 2 * float64(g.batch) * float64(g.m) * float64(g.k) * float64(g.n)
}

func (g gemmCase) operands() (a, b, c Mat) {
	r := rand.New(rand.NewPCG(1, 1))
	data := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = r.Float32() - 0.5
		}
		return x
	}
	a, b = Dense(data(g.batch*g.m*g.k), g.m, g.k), Dense(data(g.batch*g.k*g.n), g.k, g.n)
	if g.layout == "TN" {
		a = Dense(a.Data, g.k, g.m).T()
	}
	if g.layout == "NT" {
		b = Dense(b.Data, g.n, g.k).T()
	}
	return a, b, Dense(make([]float32, g.batch*g.m*g.n), g.m, g.n)
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
			x, y, z := g.operands()
			measure(b, g.flops(), func() { GemmBatch(g.batch, 1, x, y, 0, z, g.m*g.k, g.k*g.n, g.m*g.n) })
		})
	}
}

// BenchmarkGemmPacked multiplies by weights that were packed before, in float32 and in bfloat16.
func BenchmarkGemmPacked(b *testing.B) {
	for _, g := range gemmCases() {
		if g.batch > 1 || g.layout != "NT" {
			continue
		}
		x, y, z := g.operands()
		w := Weights{F32: y.Data, Rows: g.n, Cols: g.k}
		low := Weights{BF16: make([]uint16, len(y.Data)), Rows: g.n, Cols: g.k}
		for i, v := range y.Data {
			low.BF16[i] = F32ToBF16(v)
		}
		for _, p := range []*PackedB{PackB(w, true), PackB(low, true)} {
			b.Run(fmt.Sprintf("%dMiB/", p.Bytes()>>20)+g.String(), func(b *testing.B) {
				measure(b, g.flops(), func() { GemmPacked(1, x, p, 0, z) })
			})
		}
	}
}
