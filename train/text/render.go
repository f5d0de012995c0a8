package text

import "strings"

// Pieces decodes single ids, for showing an example.
type Pieces interface {
	Decode(ids []int32, skipSpecial bool) string
}

// Render shows an example with its loss mask: what is learnt stands between ⟦ and ⟧. Looking at one before training finds most
// mistakes of templates.
func Render(ex Example, tok Pieces) string {
	var b strings.Builder
	for i := 0; i < len(ex.IDs); {
		j := i
		for j < len(ex.IDs) && ex.Learn[j] == ex.Learn[i] {
			j++
		}
		part := tok.Decode(ex.IDs[i:j], false)
		if ex.Learn[i] {
			part = "⟦" + part + "⟧"
		}
		b.WriteString(part)
		i = j
	}
	return b.String()
}
