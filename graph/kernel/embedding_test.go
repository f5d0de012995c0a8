package kernel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/kerneltest"
)

func refEmbedding(k kernel.Embedding, d int) func(x [][]float64) []float64 {
	return func(x [][]float64) (y []float64) {
		for _, id := range x[0] {
			for j := range d {
				y = append(y, float64(k.Scale)*x[1][int(id)*d+j])
			}
		}
		return y
	}
}

func embeddingCase(name string, k kernel.Embedding, n, d int, ids ...int) kerneltest.Case {
	x := []*kernel.Tensor{kerneltest.IDs(1, n, ids...), kerneltest.Normal(2, n, d)}
	return kerneltest.Case{Name: name, Kernel: k, X: x, Ref: refEmbedding(k, d)}
}

func TestEmbedding(t *testing.T) {
	bad := embeddingCase("few rows, many ids", kernel.Embedding{Scale: 1}, 3, 7, 2, 30)
	bad.Bad = [][]kernel.Spec{
		{specI32(2, 3)},                // table missing
		{spec(2, 3), spec(4, 5)},       // ids in float
		{specI32(2, 3), spec(20)},      // table is no matrix
		{specI32(2, 3), specI32(4, 5)}, // integer table
	}
	half := embeddingCase("f16", kernel.Embedding{Scale: 1}, 9, 4, 2, 3)
	half.X[1] = kerneltest.Stored(half.X[1], kernel.F16)
	kerneltest.Run(t, bad, half,
		embeddingCase("one", kernel.Embedding{Scale: 1}, 1, 1, 1),
		embeddingCase("scaled", kernel.Embedding{Scale: 11.313708}, 20, 128, 3, 5),
		embeddingCase("wide", kernel.Embedding{Scale: 1}, 50, 333, 4, 40))
}

func refLoRAEmbedding(k kernel.LoRAEmbedding, n, d, rank int) func(x [][]float64) []float64 {
	return func(x [][]float64) (y []float64) {
		e, a, b := x[1], x[2], x[3]
		for _, id := range x[0] {
			for j := range d {
				update := 0.0
				for q := range rank {
					update += b[j*rank+q] * a[q*n+int(id)]
				}
				y = append(y, float64(k.EmbedScale)*(e[int(id)*d+j]+float64(k.Scale)*update))
			}
		}
		return y
	}
}

func loraEmbeddingCase(name string, k kernel.LoRAEmbedding, n, d, rank int, ids ...int) kerneltest.Case {
	x := []*kernel.Tensor{kerneltest.IDs(1, n, ids...), kerneltest.Normal(2, n, d), kerneltest.Normal(3, rank, n), kerneltest.Normal(4, d, rank)}
	return kerneltest.Case{Name: name, Kernel: k, X: x, Ref: refLoRAEmbedding(k, n, d, rank)}
}

func TestLoRAEmbedding(t *testing.T) {
	k := kernel.LoRAEmbedding{Scale: 0.5, EmbedScale: 3}
	frozen := loraEmbeddingCase("frozen table", k, 11, 6, 3, 2, 5)
	frozen.X[1] = kerneltest.Stored(frozen.X[1], kernel.BF16)
	frozen.Bad = [][]kernel.Spec{
		{specI32(2), spec(4, 5), spec(3, 4)},             // B missing
		{specI32(2), spec(4, 5), spec(3, 5), spec(5, 3)}, // A over d
		{specI32(2), spec(4, 5), spec(3, 4), spec(3, 5)}, // B transposed
		{specI32(2), spec(4, 5), spec(3, 4), spec(5, 2)}, // ranks differ
		{specI32(2), spec(4, 5), spec(12), spec(5, 3)},   // A is no matrix
		{specI32(2), spec(4, 5), spec(3, 4), spec()},     // B is a scalar
		{specI32(2), spec(20), spec(3, 4), spec(5, 3)},   // table is no matrix
		{spec(2), spec(4, 5), spec(3, 4), spec(5, 3)},    // ids in float
	}
	kerneltest.Run(t, frozen,
		loraEmbeddingCase("one", kernel.LoRAEmbedding{Scale: 1, EmbedScale: 1}, 1, 1, 1, 1, 1),
		loraEmbeddingCase("repeated ids", k, 3, 70, 5, 4, 25))
}

// panics returns what f panics with, as text.
func panics(f func()) (message string) {
	defer func() { message = fmt.Sprint(recover()) }()
	f()
	return ""
}

func TestIDsOutOfRangeAreNamed(t *testing.T) {
	for _, id := range []int32{-1, 4} {
		ids := &kernel.Tensor{DType: kernel.I32, Shape: kernel.Shape{3}, I32: []int32{0, 3, id}}
		got := panics(func() {
			kernel.Embedding{Scale: 1}.Forward(&kernel.Call{X: []*kernel.Tensor{ids, kernel.New(4, 2)}, Y: kernel.New(3, 2)})
		})
		if want := fmt.Sprintf("id %d of token 2; the table holds ids 0 to 3", id); !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q in it", got, want)
		}
	}
}
