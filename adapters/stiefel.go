package adapters

import "github.com/geotune/geotune/graph/kernel/dense"

// The initialisations with random orthonormal factors of arXiv 2507.12142, Table 7, which calls lora_B A and lora_A B.

// stiefelAInit starts with orthonormal rows of A.
func stiefelAInit(x *initInput) error {
	a, _ := x.factors()
	x.randomRows(a, 1)
	return nil
}

// stiefelBInit starts with orthonormal columns of B.
func stiefelBInit(x *initInput) error {
	_, b := x.factors()
	x.randomRows(b.T(), 1)
	return nil
}

// stiefelInit starts at a random point of the manifold of rank r whose singular values are all equal.
func stiefelInit(x *initInput) error {
	a, b := x.factors()
	x.randomRows(a, x.settings.Sigma(x.rank)/float64(x.scale))
	x.randomRows(b.T(), 1)
	return nil
}

// randomRows fills m, no taller than wide, with random rows of the given length, orthogonal to each other.
func (x *initInput) randomRows(m dense.Mat[float32], length float64) {
	w := new(dense.Workspace[float32])
	q := w.Mat(m.Cols, m.Rows)
	dense.Complete(w, q, 0, x.rng.NormFloat64)
	for i := range m.Rows {
		for j := range m.Cols {
			m.Set(i, j, float32(length*float64(q.At(j, i))))
		}
	}
}
