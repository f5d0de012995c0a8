//go:build !amd64

package cpu

func mulSubFast(_, _, _ LaneMat) bool                                        { return false }
func solveLowerFast(_, _ LaneMat) bool                                       { return false }
func solveUpperFast(_ LaneMat, _ []float64, _ LaneMat) bool                  { return false }
func eliminateFast(LaneMat, *[Lanes]float64) bool                            { return false }
func subLanesFast(_, _ []float64, _ int, _ []float64, _ float64, _ int) bool { return false }
func pivotLanesFast([]float64, int, int, *[Lanes]float64) bool               { return false }
func spreadFront([]float64, *[Lanes][]float32, int) int                      { return 0 }
func gatherFront(*[Lanes][]float32, []float64, int) int                      { return 0 }
