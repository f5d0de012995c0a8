package kernel

import "math"

// visibility says which keys a query attends to. Query i stands at position i+shift among the keys.
type visibility struct {
	causal bool
	window int // how many keys back from a query are visible, itself included; 0: all
	shift  int
}

// keys returns the range of keys out of n that at least one query in [q0, q1) may see by its position.
func (v visibility) keys(q0, q1, n int) (lo, hi int) {
	hi = n
	if v.causal {
		hi = min(n, q1+v.shift)
	}
	if v.window > 0 {
		lo = max(0, q0+v.shift-v.window+1)
	}
	return lo, hi
}

// queries returns the range of queries out of n that may see at least one key in [k0, k1) by their position.
func (v visibility) queries(k0, k1, n int) (lo, hi int) {
	hi = n
	if v.causal {
		lo = max(0, k0-v.shift)
	}
	if v.window > 0 {
		hi = min(n, k1-1+v.window-v.shift)
	}
	return lo, hi
}

// span returns the part of the scores of query q with the keys k0, k0+1, ... that its position lets it see.
func (v visibility) span(q, k0 int, row []float32) (lo, hi int) {
	lo, hi = v.keys(q, q+1, k0+len(row))
	hi = max(0, hi-k0)
	return min(max(0, lo-k0), hi), hi
}

// segmentMask says what the segments of one tile of queries and keys hide.
type segmentMask uint8

const (
	showsAll segmentMask = iota
	showsSome
	showsNone
)

// segmentsOf classifies a tile by the segment numbers of its queries and keys. A key is visible if its segment is not 0 (padding) and
// is that of the query or the query's is 0. nil stands for no segments at all.
func segmentsOf(queries, keys []int32) segmentMask {
	if queries == nil {
		return showsAll
	}
	qLo, qHi := extent(queries)
	kLo, kHi := extent(keys)
	padded := qLo <= 0 && qHi >= 0 // a query may be 0: it sees every key but padding
	switch {
	case kLo == 0 && kHi == 0, !padded && (qHi < kLo || kHi < qLo):
		return showsNone
	case qLo == qHi && kLo == kHi, qLo == 0 && qHi == 0 && (kLo > 0 || kHi < 0):
		return showsAll
	}
	return showsSome
}

// extent returns the smallest and the largest number of a tile.
func extent(s []int32) (lo, hi int32) {
	lo, hi = s[0], s[0]
	for _, v := range s {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// hide sets the scores of the keys that a query of segment query does not see to -Inf.
func hide(scores []float32, query int32, keys []int32) {
	inf := float32(math.Inf(-1))
	keys = keys[:len(scores)]
	for j, s := range keys {
		if s == 0 || query != 0 && s != query {
			scores[j] = inf
		}
	}
}
