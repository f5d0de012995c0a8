package kernel

import (
	"sync"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// packs keeps the packed copies of a frozen weight of 16-bit values: one for products with the matrix, one for products with its
// transpose, together as large as one copy in float32. Every graph that uses the weight shares them, and each is made when it is first
// asked for. A float32 weight is packed for each product anew, which costs a few per cent at a few hundred rows: copies that stay would
// triple the memory of the model.
type packs struct {
	once [2]sync.Once
	b    [2]*cpu.PackedB
}

// Freeze declares that t never changes again, so that kernels may keep packed copies of it. Call it before the tensor is used.
func (t *Tensor) Freeze() *Tensor {
	if t.packs == nil {
		t.packs = new(packs)
	}
	return t
}

// Frozen reports whether Freeze was called.
func (t *Tensor) Frozen() bool { return t.packs != nil }

// packed returns the frozen matrix t (or its transpose) packed as the right operand of a product.
func (t *Tensor) packed(transpose bool) *cpu.PackedB {
	i := 0
	if transpose {
		i = 1
	}
	t.packs.once[i].Do(func() { t.packs.b[i] = cpu.PackB(t.Weights(), transpose) })
	return t.packs.b[i]
}

// mulWeight computes c = alpha·a·op(W) + beta·c, where op(W) is W or its transpose. A weight of 16-bit values is frozen.
func mulWeight(alpha float32, a cpu.Mat, w *Tensor, transpose bool, beta float32, c cpu.Mat) {
	if w.DType != F32 {
		cpu.GemmPacked(alpha, a, w.packed(transpose), beta, c)
		return
	}
	cpu.Gemm(alpha, a, w.matrix(transpose), beta, c)
}

// mulWeightBias computes c = a·op(W) and adds b, if it is not nil, to every row.
func mulWeightBias(a cpu.Mat, w *Tensor, transpose bool, b []float32, c cpu.Mat) {
	switch {
	case b == nil:
		mulWeight(1, a, w, transpose, 0, c)
	case w.DType != F32:
		cpu.GemmPackedBias(1, a, w.packed(transpose), b, c)
	default:
		cpu.GemmBias(1, a, w.matrix(transpose), b, c)
	}
}

// matrix returns the float32 matrix t or its transpose.
func (t *Tensor) matrix(transpose bool) cpu.Mat {
	if transpose {
		return t.Mat().T()
	}
	return t.Mat()
}

// packedBlock returns rows [p0, p1) and columns [j0, j1) of op(W) packed as the right operand of a product, in mem if they are float32.
func (t *Tensor) packedBlock(transpose bool, p0, p1, j0, j1 int, mem *cpu.PackedB) cpu.PackedB {
	if t.DType != F32 {
		return t.packed(transpose).Block(p0, p1, j0, j1)
	}
	mem.Pack(t.matrix(transpose).Block(p0, j0, p1-p0, j1-j0))
	return *mem
}
