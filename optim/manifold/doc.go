// Package manifold is the geometry of matrices of fixed rank, on thin factors: no m×n matrix is ever formed.
//
// A [Point] is X = U·diag(S)·Vᵀ in the canonical gauge: U m×r and V n×r orthonormal, S positive. A [Tangent] vector at X is
// ξ = A·Vᵀ + U·Bᵀ with UᵀA = 0; its coordinates A (m×r) and B (n×r) are orthogonal, so that lengths and inner products are those of the
// coordinates. The gradient G of a loss enters through the two thin products G·V and Gᵀ·U alone ([Project]).
//
// A [Frame] holds orthonormal bases [U Q] and [V Q'] in which X, ξ and every matrix that a step makes of them are cores of at most
// 2r×2r. Directions ([MSign]), retractions ([TruncatedSVD], [Orthographic], [Factorwise]) and the transport along a step ([Frame.Move])
// are then small dense algebra; a step costs one orthonormal complement and one product a side and at most two small singular value
// decompositions, about 30·(m+n)·r² + 10³·r³ operations.
//
// Everything is a pure function of its arguments, generic over float32, in which training runs, and float64, in which the laws hold to
// 1e-12. The algorithms are those of arXiv 2507.12142 ("RiemannLoRA", "Riemannion"), corrected where the paper's print is wrong.
package manifold
