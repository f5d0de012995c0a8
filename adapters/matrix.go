package adapters

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/layers"
)

// rowsPerChunk is the grain of parallel loops over the rows of a weight. No result depends on it.
const rowsPerChunk = 16

// outIn returns a linear layer's weight in float32 as rows of outputs, whatever the layer's layout; the slice is the caller's.
func outIn(l *layers.Linear) []float32 {
	return toOutIn(l, l.Weight.Value.Floats())
}

func toOutIn(l *layers.Linear, w []float32) []float32 {
	if l.InOut {
		return transpose(w, l.In, l.Out)
	}
	return append([]float32(nil), w...)
}

// fromOutIn returns rows of outputs in the layer's layout.
func fromOutIn(l *layers.Linear, w []float32) []float32 {
	if l.InOut {
		return transpose(w, l.Out, l.In)
	}
	return w
}

// transpose returns the transpose of a rows×cols matrix.
func transpose(m []float32, rows, cols int) []float32 {
	out := make([]float32, len(m))
	cpu.Parallel(cols, rowsPerChunk, func(lo, hi int) {
		for j := lo; j < hi; j++ {
			for i := range rows {
				out[j*rows+i] = m[i*cols+j]
			}
		}
	})
	return out
}

// addProduct adds scale·B·A to w in float32, for w (out,in), b (out,r), a (r,in).
func addProduct(w []float32, scale float32, b, a []float32, out, r, in int) {
	cpu.Gemm(scale, cpu.Dense(b, out, r), cpu.Dense(a, r, in), 1, cpu.Dense(w, out, in))
}

// rowNorms returns the Euclidean norms of the rows of w, summed in float64.
func rowNorms(w []float32, rows, cols int) []float32 {
	out := make([]float32, rows)
	cpu.Parallel(rows, rowsPerChunk, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			var sum float64
			for _, v := range w[i*cols : (i+1)*cols] {
				sum += float64(v) * float64(v)
			}
			out[i] = float32(math.Sqrt(sum))
		}
	})
	return out
}
