// Package dense is the small linear algebra of the geometry: products with tall-skinny matrices, their QR factorisation, singular
// values and eigenvalues of cores, and linear systems and Cayley maps of stacks of small blocks.
//
// A tall-skinny matrix has one row for each input or output of a layer and at most a few dozen columns; it is float32 in training and
// float64 where laws are tested to the last digits, so functions that touch one are generic over [Float]. A core is a square or nearly
// square matrix of at most a few hundred rows; cores are always float64. A [Stack] holds the blocks of a block-diagonal matrix, which are
// float32 in training and factored in float64. Scratch memory comes from a [Workspace], so that a step that was made once allocates
// nothing when it is made again.
//
// Shapes that do not fit together are programmer errors and panic. Results have the same bits for any GOMAXPROCS.
package dense
