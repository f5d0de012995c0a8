//go:build !amd64 && !arm64

package cpu

import "math"

// Without assembly the portable loops do everything.

func axpyFront(float32, []float32, []float32) int                                { return 0 }
func scaleFront([]float32, float32) int                                          { return 0 }
func addFront(_, _, _ []float32) int                                             { return 0 }
func mulFront(_, _, _ []float32) int                                             { return 0 }
func softmaxGradFront(_, _ []float32, _ float32) int                             { return 0 }
func normalizeFront(_, _ []float32, _, _, _ float32) int                         { return 0 }
func scaledProductFront(_, _, _ []float32, _ float32) int                        { return 0 }
func addNormalizedFront(_, _, _ []float32, _, _ float32) int                     { return 0 }
func normGradFront(_, _, _ []float32, _, _, _, _ float32) int                    { return 0 }
func weightedNormGradFront(_, _, _, _ []float32, _, _, _, _ float32) int         { return 0 }
func normSumsFront(_, _ []float32, _ float32) (float64, float64, int)            { return 0, 0, 0 }
func weightedNormSumsFront(_, _, _ []float32, _ float32) (float64, float64, int) { return 0, 0, 0 }
func dotFront(_, _ []float32) (float32, int)                                     { return 0, 0 }
func sumFront([]float32) (float32, int)                                          { return 0, 0 }
func deviationsFront([]float32, float32) (float64, int)                          { return 0, 0 }
func maxFront([]float32) (float32, int)                                          { return float32(math.Inf(-1)), 0 }
func (c *AdamW) front(_, _, _, _ []float32) int                                  { return 0 }
func widenBF16Front([]float32, []uint16) int                                     { return 0 }
func widenF16Front([]float32, []uint16) int                                      { return 0 }
func rotateFront(_, _, _, _ []float32, _ float32, _, _ int) int                  { return 0 }
func expSub(_ level, _ *float32, _ float32, _ int) float32                       { return 0 }
