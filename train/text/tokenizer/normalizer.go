package tokenizer

import "encoding/json"

// normalizer rewrites a piece and keeps track of where each byte of the new text stems from.
type normalizer interface {
	normalize(p piece) piece
}

var normalizers = registry[normalizer]{}

func init() { normalizers["Sequence"] = newNormalizerSequence }

// normalizerSequence applies its members in order.
type normalizerSequence []normalizer

func newNormalizerSequence(l *loader, raw json.RawMessage) (normalizer, error) {
	var spec struct{ Normalizers []json.RawMessage }
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	members, err := buildAll(l, "normalizer", normalizers, spec.Normalizers)
	return normalizerSequence(members), err
}

func (s normalizerSequence) normalize(p piece) piece {
	for _, n := range s {
		p = n.normalize(p)
	}
	return p
}

// edit is one character of a normalized text. Its change tells how it relates to the old text: 0 replaces one character, n > 0
// is inserted, -n replaces n+1 characters.
type edit struct {
	char   rune
	change int
}

// rewrite returns p with its text replaced by the edits, in the way of the Rust library's NormalizedString: a replaced
// character hands on its own alignment, an inserted one that of the byte before it.
func (p piece) rewrite(edits []edit) piece {
	old := p.aligned()
	rest := p.text
	next := func() { // skips one old character
		for i := range rest {
			if i > 0 {
				rest = rest[i:]
				return
			}
		}
		rest = ""
	}
	text := make([]byte, 0, len(p.text))
	align := make([]span, 0, len(p.text))
	for _, e := range edits {
		at := len(p.text) - len(rest)
		var from span
		switch {
		case e.change > 0 && at > 0:
			from = old[at-1]
		case e.change <= 0 && at < len(old):
			from = old[at]
		}
		for range 1 - e.change {
			next()
		}
		n := len(text)
		text = append(text, string(e.char)...)
		for range len(text) - n {
			align = append(align, from)
		}
	}
	return piece{text: string(text), base: p.base, align: align, token: p.token}
}
