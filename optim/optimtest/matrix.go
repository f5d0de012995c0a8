package optimtest

import (
	"math"
	"math/rand/v2"

	"github.com/geotune/geotune/graph/kernel"
)

// matrix is a small dense float64 matrix, row by row: the plainest arithmetic to compare with.
type matrix [][]float64

func zeros(rows, cols int) matrix {
	m := make(matrix, rows)
	for i := range m {
		m[i] = make([]float64, cols)
	}
	return m
}

func diagonal(d ...float64) matrix {
	m := zeros(len(d), len(d))
	for i, v := range d {
		m[i][i] = v
	}
	return m
}

func fromTensor(t *kernel.Tensor) matrix {
	m := zeros(t.Shape[0], t.Shape[1])
	for i := range m {
		for j := range m[i] {
			m[i][j] = float64(t.F32[i*len(m[i])+j])
		}
	}
	return m
}

// store rounds m into t.
func (m matrix) store(t *kernel.Tensor) {
	for i := range m {
		for j, v := range m[i] {
			t.F32[i*len(m[i])+j] = float32(v)
		}
	}
}

func (m matrix) mul(n matrix) matrix {
	p := zeros(len(m), len(n[0]))
	for i := range m {
		for k, v := range m[i] {
			for j := range p[i] {
				p[i][j] += v * n[k][j]
			}
		}
	}
	return p
}

func (m matrix) transpose() matrix {
	t := zeros(len(m[0]), len(m))
	for i := range m {
		for j, v := range m[i] {
			t[j][i] = v
		}
	}
	return t
}

func (m matrix) minus(n matrix) matrix {
	d := zeros(len(m), len(m[0]))
	for i := range m {
		for j := range m[i] {
			d[i][j] = m[i][j] - n[i][j]
		}
	}
	return d
}

func (m matrix) scaled(c float64) matrix {
	s := zeros(len(m), len(m[0]))
	for i := range m {
		for j, v := range m[i] {
			s[i][j] = c * v
		}
	}
	return s
}

func (m matrix) squaredNorm() float64 {
	var s float64
	for i := range m {
		for _, v := range m[i] {
			s += v * v
		}
	}
	return s
}

func (m matrix) norm() float64 { return math.Sqrt(m.squaredNorm()) }

// orthonormal returns a random rows×cols matrix with orthonormal columns, by Gram-Schmidt.
func orthonormal(rng *rand.Rand, rows, cols int) matrix {
	q := zeros(cols, rows) // columns as rows
	for i := range q {
		for j := range q[i] {
			q[i][j] = rng.NormFloat64()
		}
		for range 2 {
			for k := range i {
				var dot float64
				for j := range q[i] {
					dot += q[i][j] * q[k][j]
				}
				for j := range q[i] {
					q[i][j] -= dot * q[k][j]
				}
			}
		}
		n := matrix{q[i]}.norm()
		for j := range q[i] {
			q[i][j] /= n
		}
	}
	return q.transpose()
}
