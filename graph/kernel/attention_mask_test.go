package kernel

import (
	"fmt"
	"math"
	"testing"
)

// Every pair that the rule of visibility allows lies in the ranges by which tiles are skipped, and the span of a row is exact.
func TestVisibilityRangesContainAllVisiblePairs(t *testing.T) {
	const n = 9
	for _, v := range []visibility{{}, {causal: true}, {window: 3}, {causal: true, window: 1}, {causal: true, window: 4}, {causal: true, shift: 2}, {causal: true, window: 3, shift: 2}} {
		for lo := range n {
			for hi := lo + 1; hi <= n; hi++ {
				if err := checkRanges(v, lo, hi, n); err != nil {
					t.Errorf("%+v, [%d,%d): %v", v, lo, hi, err)
				}
			}
		}
	}
}

// checkRanges takes [lo, hi) as a tile of queries and of keys.
func checkRanges(v visibility, lo, hi, n int) error {
	sees := func(q, k int) bool {
		return (!v.causal || k <= q+v.shift) && (v.window == 0 || q+v.shift-k < v.window)
	}
	firstKey, lastKey := v.keys(lo, hi, n)
	firstQuery, lastQuery := v.queries(lo, hi, n)
	for q := range n {
		a, b := v.span(q, lo, make([]float32, hi-lo))
		for k := range n {
			inSpan := k >= lo+a && k < lo+b
			switch {
			case k >= lo && k < hi && inSpan != sees(q, k):
				return fmt.Errorf("query %d, key %d: visible %v, in span %v", q, k, sees(q, k), inSpan)
			case sees(q, k) && q >= lo && q < hi && (k < firstKey || k >= lastKey):
				return fmt.Errorf("query %d sees key %d outside [%d,%d)", q, k, firstKey, lastKey)
			case sees(q, k) && k >= lo && k < hi && (q < firstQuery || q >= lastQuery):
				return fmt.Errorf("key %d is seen by query %d outside [%d,%d)", k, q, firstQuery, lastQuery)
			}
		}
	}
	return nil
}

// The classification of a tile must agree with hide on every combination of three segment numbers.
func TestSegmentMaskAgreesWithHide(t *testing.T) {
	for code := range 81 {
		tile := [4]int32{}
		for i := range tile {
			tile[i] = int32(code) % 3
			code /= 3
		}
		queries, keys := tile[:2], tile[2:]
		hidden := 0
		for _, q := range queries {
			scores := make([]float32, 2)
			hide(scores, q, keys)
			for j, s := range scores {
				want := keys[j] != 0 && (keys[j] == q || q == 0)
				if got := !math.IsInf(float64(s), -1); got != want {
					t.Fatalf("query segment %d sees key segment %d: %v, want %v", q, keys[j], got, want)
				}
				if !want {
					hidden++
				}
			}
		}
		switch m := segmentsOf(queries, keys); {
		case m == showsAll && hidden > 0, m == showsNone && hidden < 4:
			t.Errorf("queries %v, keys %v: class %d with %d of 4 pairs hidden", queries, keys, m, hidden)
		}
	}
}
