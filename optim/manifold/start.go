package manifold

import "github.com/geotune/geotune/graph/kernel/dense"

// LocallyOptimal returns the point alpha·U₁·V₂ᵀ of rank r for a gradient with the singular triplets d, of which there must be 2r: the
// first r left vectors with the second r right vectors. Among all points of rank r it maximises the part of the gradient that lies in
// the tangent space; that part, the first Riemannian gradient, is the gradient's best approximation of rank 2r. The sign of alpha does
// not matter for that, its size sets the curvature at the start. Theorem 5.1 of arXiv 2507.12142.
func LocallyOptimal(d SVD[float32], r int, alpha float64) Point[float32] {
	m, n := d.U.Rows, d.V.Rows
	x := Point[float32]{dense.New[float32](m, r), dense.New[float32](n, r), make([]float64, r)}
	dense.Copy(x.U, d.U.Columns(0, r))
	dense.Copy(x.V, d.V.Columns(r, 2*r))
	for j := range x.S {
		x.S[j] = alpha
	}
	if alpha < 0 {
		for j := range x.S {
			x.S[j] = -alpha
		}
		for i, v := range x.V.Data {
			x.V.Data[i] = -v
		}
	}
	return x
}
