package text

import "github.com/geotune/geotune/layers/transformer"

// row is one line of a batch: one example, or several packed behind one another.
type row struct {
	examples []*Example
	length   int
}

// packed fills rows of at most maxLength tokens with the examples in the given order: each goes into the first of the most recent
// open rows that has room. Examples keep attention and positions to themselves, see fill.
func packed(examples []*Example, maxLength int) []row {
	const open = 64
	var rows []row
	for _, ex := range examples {
		at := -1
		for i := max(0, len(rows)-open); i < len(rows); i++ {
			if rows[i].length+len(ex.IDs) <= maxLength {
				at = i
				break
			}
		}
		if at < 0 {
			rows = append(rows, row{})
			at = len(rows) - 1
		}
		rows[at].examples = append(rows[at].examples, ex)
		rows[at].length += len(ex.IDs)
	}
	return rows
}

// single gives each example a row of its own.
func single(examples []*Example) []row {
	rows := make([]row, len(examples))
	for i, ex := range examples {
		rows[i] = row{[]*Example{ex}, len(ex.IDs)}
	}
	return rows
}

// fill writes the row into one line of a batch, whose slices have the batch's length. Every example gets a segment number of its
// own, counted from 1, and positions from 0; the target of a token is the token after it in the same example. Padding has segment
// 0. It returns the number of targets.
func (r row) fill(ids, positions, segments, targets []int32) int {
	clear(ids)
	clear(positions)
	clear(segments)
	for i := range targets {
		targets[i] = transformer.Ignored
	}
	at, count := 0, 0
	for n, ex := range r.examples {
		for i, id := range ex.IDs {
			ids[at+i], positions[at+i], segments[at+i] = id, int32(i), int32(n+1)
			if i > 0 && ex.Learn[i] {
				targets[at+i-1] = id
				count++
			}
		}
		at += len(ex.IDs)
	}
	return count
}
