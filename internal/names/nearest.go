// Package names words how names stand in messages: those that a mistyped one was probably meant to be, those that there are, the first
// few of many.
package names

import (
	"slices"
	"strings"
)

// Nearest returns the candidates that word was probably meant to be, best first, at most three: those within an edit distance (insertions, deletions,
// substitutions, swaps of neighbours; upper and lower case count as equal) of a third of the word's length, and those that word begins. Nothing similar gives nil.
func Nearest(word string, candidates []string) []string {
	const longest = 64 // words beyond are no typing mistakes, and the distance takes quadratic time
	if word == "" || len(word) > longest {
		return nil
	}
	type match struct {
		name     string
		distance int
	}
	var found []match
	lower := strings.ToLower(word)
	for _, c := range candidates {
		if len(c) > longest {
			continue
		}
		lc := strings.ToLower(c)
		d := distance(lower, lc)
		if d <= max(1, len(word)/3) || (len(word) >= 3 && strings.HasPrefix(lc, lower)) {
			found = append(found, match{c, d})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, m := range found[:min(3, len(found))] {
		names = append(names, m.name)
	}
	return names
}

// distance is the optimal string alignment distance of a and b (Damerau-Levenshtein without editing a substring twice), by bytes, in O(len(a) len(b)) time.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := last[j-1]
			if a[i-1] != b[j-1] {
				substitute++
			}
			row[j] = min(last[j]+1, row[j-1]+1, substitute)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
