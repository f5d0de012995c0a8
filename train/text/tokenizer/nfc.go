package tokenizer

import (
	"encoding/json"
	"slices"

	"golang.org/x/text/unicode/norm"
)

func init() { normalizers["NFC"] = newNFC }

// nfc is Unicode normalization form C.
type nfc struct{}

func newNFC(*loader, json.RawMessage) (normalizer, error) { return nfc{}, nil }

func (nfc) normalize(p piece) piece {
	if norm.NFC.IsNormalString(p.text) {
		return p
	}
	return p.rewrite(compose(decompose(p.text)))
}

// mark is an edit with its canonical combining class.
type mark struct {
	edit
	class uint8
}

// decompose returns the canonical decomposition of s in canonical order; every character beyond the first of one
// decomposition counts as inserted.
func decompose(s string) []mark {
	out := make([]mark, 0, len(s))
	for _, r := range s {
		char := string(r)
		if d := norm.NFD.PropertiesString(char).Decomposition(); d != nil {
			char = string(d)
		} else if isHangulSyllable(r) {
			char = norm.NFD.String(char)
		}
		for i, r := range char {
			change := 0
			if i > 0 {
				change = 1
			}
			out = append(out, mark{edit{r, change}, norm.NFD.PropertiesString(string(r)).CCC()})
		}
	}
	for i := 0; i < len(out); i++ { // sort each run of non-starters by class, keeping the order of equals
		j := i
		for j < len(out) && out[j].class != 0 {
			j++
		}
		slices.SortStableFunc(out[i:j], func(a, b mark) int { return int(a.class) - int(b.class) })
		i = j
	}
	return out
}

func isHangulSyllable(r rune) bool { return r >= 0xAC00 && r <= 0xD7A3 }

// compose recombines a canonical decomposition. A character that swallows another adds its change less one.
func compose(marks []mark) []edit {
	out := make([]edit, 0, len(marks))
	starter := -1        // index in out of the last starter
	blocking := uint8(0) // class of the last mark kept after the starter; 0 where none
	for _, m := range marks {
		if starter >= 0 && (blocking == 0 && starter == len(out)-1 || blocking != 0 && blocking < m.class) {
			if c, ok := composite(out[starter].char, m.char); ok {
				out[starter] = edit{c, out[starter].change + m.change - 1}
				continue
			}
		}
		if m.class == 0 {
			starter, blocking = len(out), 0
		} else {
			blocking = m.class
		}
		out = append(out, m.edit)
	}
	return out
}

// composite returns the primary composite of two characters, if there is one.
func composite(a, b rune) (rune, bool) {
	pair := string(a) + string(b)
	joined := []rune(norm.NFC.String(pair))
	if len(joined) != 1 {
		return 0, false
	}
	return joined[0], true
}
