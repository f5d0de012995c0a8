package graph

import (
	"gonum.org/v1/gonum/blas/gonum"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/geotune/geotune/graph/kernel/blas"
)

func init() { replaceDefaultBLAS() }

// replaceDefaultBLAS makes Gorgonia and tensor compute their own products with our kernels, so that stock operations beside ours, and
// machines that serve as oracles, are fast too. A BLAS that the program has chosen stays, now or by gorgonia.Use later. It runs before main,
// because Gorgonia reads the choice without a lock.
func replaceDefaultBLAS() {
	_, gorgoniaDefault := G.WhichBLAS().(gonum.Implementation)
	_, tensorDefault := tensor.WhichBLAS().(gonum.Implementation)
	if gorgoniaDefault && tensorDefault {
		G.Use(blas.Implementation{})
	}
}
