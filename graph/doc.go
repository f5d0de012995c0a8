// Package graph hosts layer operations in Gorgonia graphs and runs them.
//
// A Graph is built from leaves (inputs and parameters) and kernels; Gorgonia owns the graph and differentiates it symbolically
// through one generic operation that wraps any kernel: a forward node, one vjp node that computes all wanted gradients at once,
// and pick nodes that hand them out. A Machine, which is a gorgonia.VM, runs the graph: every intermediate value lives in one
// arena planned by liveness, so a steady step allocates nothing. Gradient nodes exist only for what is trained.
//
// Importing this package replaces the default BLAS of Gorgonia and tensor by the one of graph/kernel/blas, so that their own products are
// fast too; a program that wants gonum's calls gorgonia.Use(gonum.Implementation{}).
//
// This is the only package that imports Gorgonia. Kernels, layers and optimizers know tensors of package kernel.
package graph
