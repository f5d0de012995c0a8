// Package cpu holds the numeric primitives that every layer and optimizer stands on: matrix products, vector functions, storage
// conversions and a worker pool, all on plain slices.
//
// Results have the same bits for any GOMAXPROCS: work is split into pieces of fixed size, and each piece has one order of
// operations. They may differ in the last bits between instruction sets.
//
// Lengths and shapes that do not fit together are programmer errors and panic; there are no other failures. Calls allocate no
// memory once as many of them as ever overlap have been made.
package cpu
