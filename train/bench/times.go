package bench

import (
	"math"
	"slices"
	"time"
)

// Times summarises durations in milliseconds.
type Times struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// timesOf summarises at least one duration.
func timesOf(ds []time.Duration) Times {
	sorted := slices.Sorted(slices.Values(ds))
	n := len(sorted)
	return Times{Min: ms(sorted[0]), Median: ms((sorted[n/2] + sorted[(n-1)/2]) / 2), Max: ms(sorted[n-1]), N: n}
}

func ms(d time.Duration) float64 { return rounded(1e3*d.Seconds(), 4) }

// rounded returns x with a number of decimals.
func rounded(x float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(x*scale) / scale
}
