package manifold_test

import (
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel/dense"
	ref "github.com/geotune/geotune/optim/internal/reference"
	. "github.com/geotune/geotune/optim/manifold"
)

type workspace = dense.Workspace[float64]

func thin(m *mat.Dense) dense.Mat[float64] {
	rows, cols := m.Dims()
	return dense.Of(mat.DenseCopyOf(m).RawMatrix().Data, rows, cols)
}

func whole(m dense.Mat[float64]) *mat.Dense {
	d := mat.NewDense(m.Rows, m.Cols, nil)
	for i := range m.Rows {
		for j := range m.Cols {
			d.Set(i, j, m.At(i, j))
		}
	}
	return d
}

// matrix returns the matrix of a point, vector that of a tangent vector at x.
func matrix(x Point[float64]) *mat.Dense {
	return ref.Mul(whole(x.U), mat.NewDiagDense(len(x.S), append([]float64(nil), x.S...)), whole(x.V).T())
}

func vector(x Point[float64], xi Tangent[float64]) *mat.Dense {
	return ref.Combine(1, ref.Mul(whole(xi.A), whole(x.V).T()), 1, ref.Mul(whole(x.U), whole(xi.B).T()))
}

// point returns p·qᵀ in the canonical gauge.
func point(p, q *mat.Dense) Point[float64] {
	w := new(workspace)
	m, r := p.Dims()
	n, _ := q.Dims()
	x := NewPoint(w, m, n, r)
	FromFactors(w, thin(p), thin(q), x, 1e-6, rand.New(rand.NewPCG(1, 99)).NormFloat64)
	return x
}

// tangent projects z onto the tangent space at x through the two thin products.
func tangent(x Point[float64], z *mat.Dense) Tangent[float64] {
	w := new(workspace)
	xi := NewTangent(w, x.U.Rows, x.V.Rows, x.Rank())
	Project(w, x, thin(ref.Mul(z, whole(x.V))), thin(ref.Mul(z.T(), whole(x.U))), xi)
	return xi
}

func scaled(xi Tangent[float64], c float64) Tangent[float64] {
	out := Tangent[float64]{dense.New[float64](xi.A.Rows, xi.A.Cols), dense.New[float64](xi.B.Rows, xi.B.Cols)}
	for i, v := range xi.A.Data {
		out.A.Data[i] = c * v
	}
	for i, v := range xi.B.Data {
		out.B.Data[i] = c * v
	}
	return out
}
