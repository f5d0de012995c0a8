package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// vecScratch returns how many floats vec wants for a weight vector.
func vecScratch(s Spec) int {
	if s.DType == F32 {
		return 0
	}
	return s.Shape.Size()
}

// vec returns the values of a weight vector and the scratch left over: the tensor's own memory when it is F32, otherwise widened into
// the first vecScratch values of scratch.
func vec(t *Tensor, scratch []float32) (values, rest []float32) {
	if t.DType == F32 {
		return t.F32, scratch
	}
	values, rest = scratch[:t.Len()], scratch[t.Len():]
	cpu.Widen(values, t.Weights(), 0)
	return values, rest
}

// reduceBlock is how many terms a reduction adds in float32 before it goes on in float64.
const reduceBlock = 256

// dot64 returns the inner product of x and y, which have equal lengths.
func dot64(x, y []float32) float64 {
	s := 0.0
	for len(x) > reduceBlock {
		s += float64(cpu.Dot(x[:reduceBlock], y[:reduceBlock]))
		x, y = x[reduceBlock:], y[reduceBlock:]
	}
	return s + float64(cpu.Dot(x, y))
}

// sum64 returns the sum of x.
func sum64(x []float32) float64 {
	s := 0.0
	for len(x) > reduceBlock {
		s += float64(cpu.Sum(x[:reduceBlock]))
		x = x[reduceBlock:]
	}
	return s + float64(cpu.Sum(x))
}

// rowChunk is how many rows contribute to one partial sum of a column sum. It is fixed so that the result does not depend on the
// number of threads.
const rowChunk = 64

// chunks returns the number of partial sums over rows.
func chunks(rows int) int { return (rows + rowChunk - 1) / rowChunk }

// chunkGrain returns how many row chunks of width n make a worthwhile piece of work.
func chunkGrain(n int) int { return max(1, 16384/(rowChunk*max(n, 1))) }

// part returns the zeroed partial sum of a chunk, nil when there are none.
func part(parts []float32, chunk, n int) []float32 {
	if parts == nil {
		return nil
	}
	p := parts[chunk*n : (chunk+1)*n]
	clear(p)
	return p
}

// columnArgs are the operands of columnLoop: partial sums [count, len(dst)] and their total.
type columnArgs struct {
	dst, parts []float32
	count      int
}

// sumParts adds up the partial sums in their order.
func sumParts(dst, parts []float32, count int) {
	columnLoop.Run((len(dst)+columnBlock-1)/columnBlock, 4, columnArgs{dst, parts, count})
}

// columnBlock is how many columns are summed together.
const columnBlock = 64

// columnLoop runs over blocks of columns.
var columnLoop = cpu.NewLoop(func(a *columnArgs, lo, hi int) {
	n := len(a.dst)
	for b := lo; b < hi; b++ {
		var total [columnBlock]float64
		first, last := b*columnBlock, min((b+1)*columnBlock, n)
		for c := range a.count {
			for j, v := range a.parts[c*n+first : c*n+last] {
				total[j] += float64(v)
			}
		}
		for j := first; j < last; j++ {
			a.dst[j] = float32(total[j-first])
		}
	}
})
