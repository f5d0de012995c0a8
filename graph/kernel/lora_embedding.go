package kernel

import "github.com/geotune/geotune/graph/kernel/cpu"

// LoRAEmbedding is an embedding with a low-rank update, PEFT's lora.Embedding:
//
//	y = EmbedScale·(E[id] + Scale·B·A[:,id])
//
// EmbedScale stands outside, because families that scale their embeddings (Gemma) do so behind the adapted module.
//
// Inputs: ids of any shape, I32 in [0, V); E(V,d); A(r,V), F32; B(d,r). Output: [ids..., d]. An id out of range panics with its place.
type LoRAEmbedding struct {
	Scale, EmbedScale float32
}

// String returns "lora embedding".
func (LoRAEmbedding) String() string { return "lora embedding" }

// Plan checks the inputs ids, E, A and B. Saved holds the columns A[:,id] for the gradient of B.
func (k LoRAEmbedding) Plan(in []Spec, need []bool) (Plan, error) {
	const name = "lora embedding"
	err := checkOperands(name, in, need, operand{"ids", integer}, operand{"E", stored}, operand{"A", activation}, operand{"B", stored})
	if err != nil {
		return Plan{}, err
	}
	base, err := Embedding{}.Plan(in[:2], need[:2])
	if err != nil {
		return Plan{}, err
	}
	vocabulary, d, rank := in[1].Shape[0], in[1].Shape[1], in[3].Shape.Last()
	if err := checkShape(name, "A", in[2].Shape, rank, vocabulary); err != nil {
		return Plan{}, err
	}
	if err := checkShape(name, "B", in[3].Shape, d, rank); err != nil {
		return Plan{}, err
	}
	p := Plan{Out: base.Out}
	narrow := base.Out.Rows() * rank
	if need[3] {
		p.Saved = narrow
	} else {
		p.ForwardScratch = narrow
	}
	if need[1] || need[2] {
		p.ReadsX = []int{0}
	}
	if need[2] {
		p.ReadsX = append(p.ReadsX, 3)
		p.BackwardScratch = narrow
	}
	return p, nil
}

// Forward gathers the rows and adds the update.
func (k LoRAEmbedding) Forward(c *Call) {
	ids, a, b := c.X[0].I32, c.X[2], c.X[3]
	checkIDs("lora embedding", ids, c.X[1].Shape[0])
	gather(c.Y, k.EmbedScale, ids, c.X[1])
	h := c.Saved
	if len(h) == 0 {
		h = c.Scratch
	}
	narrow := cpu.Dense(h[:len(ids)*a.Shape[0]], len(ids), a.Shape[0])
	columnsLoop.Run(a.Shape[0], 1, columnsArgs{table: a.F32, ids: ids, rows: narrow})
	mulWeight(k.EmbedScale*k.Scale, narrow, b, true, 1, c.Y.Mat())
}

// Backward computes dE like Embedding and, with g = EmbedScale·Scale·dy, dB = gᵀ·A[:,id]ᵀ; g·B is added to the columns of dA.
func (k LoRAEmbedding) Backward(c *Call) {
	Embedding{k.EmbedScale}.Backward(&Call{X: c.X[:2], DY: c.DY, DX: c.DX[:2]})
	ids, b, scale := c.X[0].I32, c.X[3], k.EmbedScale*k.Scale
	rank := b.Shape[1]
	if db := c.DX[3]; db != nil {
		cpu.Gemm(scale, c.DY.Mat().T(), cpu.Dense(c.Saved, len(c.Saved)/rank, rank), 0, db.Mat())
	}
	if da := c.DX[2]; da != nil {
		dh := cpu.Dense(c.Scratch[:len(ids)*rank], len(ids), rank)
		mulWeight(scale, c.DY.Mat(), b, false, 0, dh)
		columnsLoop.Run(rank, 1, columnsArgs{table: da.F32, ids: ids, rows: dh, scatter: true})
	}
}

// columnsArgs are the operands of columnsLoop.
type columnsArgs struct {
	table   []float32 // A or its gradient, (r,V)
	ids     []int32
	rows    cpu.Mat // one row of r values for each id
	scatter bool    // add rows to columns of the cleared table instead of reading columns into rows
}

// columnsLoop runs over the rows of A.
var columnsLoop = cpu.NewLoop(func(a *columnsArgs, lo, hi int) {
	rank := a.rows.Cols
	n := len(a.table) / rank
	for j := lo; j < hi; j++ {
		row := a.table[j*n : (j+1)*n]
		if !a.scatter {
			for t, id := range a.ids {
				a.rows.Data[t*rank+j] = row[id]
			}
			continue
		}
		clear(row)
		for t, id := range a.ids {
			row[id] += a.rows.Data[t*rank+j]
		}
	}
})
