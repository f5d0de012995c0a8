package graph

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas/gonum"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/geotune/geotune/graph/kernel/blas"
)

func randomDense(r *rand.Rand, rows, cols int) *tensor.Dense {
	data := make([]float32, rows*cols)
	for i := range data {
		data[i] = 2*r.Float32() - 1
	}
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(data))
}

// TestStockProductsAgreeWithGonum runs a product of Gorgonia's own and its gradients on its own machine, once with each BLAS.
func TestStockProductsAgreeWithGonum(t *testing.T) {
	run := func() map[string][]float32 {
		r := rand.New(rand.NewPCG(1, 2))
		g := G.NewGraph()
		x := G.NodeFromAny(g, randomDense(r, 70, 50), G.WithName("x"))
		w := G.NodeFromAny(g, randomDense(r, 50, 90), G.WithName("w"))
		y := G.Must(G.Mul(x, w))
		loss := G.Must(G.Sum(G.Must(G.Square(y))))
		if _, err := G.Grad(loss, x, w); err != nil {
			t.Fatal(err)
		}
		vm := G.NewTapeMachine(g)
		defer vm.Close()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		out := map[string][]float32{"y": y.Value().Data().([]float32)}
		for name, n := range map[string]*G.Node{"dx": x, "dw": w} {
			grad, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			out[name] = grad.Data().([]float32)
		}
		return out
	}
	if _, ok := tensor.WhichBLAS().(blas.Implementation); !ok {
		t.Fatalf("tensor uses %T", tensor.WhichBLAS())
	}
	got := run()
	defer G.Use(G.WhichBLAS())
	G.Use(gonum.Implementation{})
	for name, want := range run() {
		for i, v := range got[name] {
			if math.Abs(float64(v-want[i])) > 1e-3 { // sums of up to 90 terms of up to 2*50
				t.Fatalf("%s: element %d is %g, with gonum %g", name, i, v, want[i])
			}
		}
	}
}

type otherBLAS struct{ gonum.Implementation }

func TestChosenBLASStays(t *testing.T) {
	defer G.Use(G.WhichBLAS())
	G.Use(otherBLAS{})
	replaceDefaultBLAS()
	if _, ok := tensor.WhichBLAS().(otherBLAS); !ok {
		t.Errorf("the program's choice became %T", tensor.WhichBLAS())
	}
}

// BenchmarkStockMatMul multiplies with tensor.MatMul, with gonum and with our kernels.
func BenchmarkStockMatMul(b *testing.B) {
	const n = 512
	defer G.Use(G.WhichBLAS())
	r := rand.New(rand.NewPCG(1, 2))
	x, y, z := randomDense(r, n, n), randomDense(r, n, n), randomDense(r, n, n)
	for _, c := range []struct {
		name string
		impl G.BLAS
	}{{"gonum", gonum.Implementation{}}, {"geotune", blas.Implementation{}}} {
		b.Run(c.name, func(b *testing.B) {
			G.Use(c.impl)
			for b.Loop() {
				if _, err := tensor.MatMul(x, y, tensor.WithReuse(z)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(2*n*n*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
