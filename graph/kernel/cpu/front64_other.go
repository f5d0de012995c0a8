//go:build !amd64

package cpu

func axpy64Front(float64, []float64, []float64) int        { return 0 }
func rotate64Front(_, _ float64, _, _ []float64) int       { return 0 }
func dot64Front(_, _ []float64) (float64, bool)            { return 0, false }
func squaresFront([]float32) (float64, bool)               { return 0, false }
func dots64Front(_, _, _, _ []float64, _ *[4]float64) bool { return false }
