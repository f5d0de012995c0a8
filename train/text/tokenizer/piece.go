package tokenizer

import "unicode/utf8"

// span is a half-open range of bytes of the original text.
type span struct{ start, end int }

// noToken marks a piece that is still text.
const noToken int32 = -1

// piece is a stretch of text on its way through the pipeline, together with the place in the original text it stems from.
type piece struct {
	text  string
	base  int    // where text starts in the original, used where align is nil
	align []span // for each byte of text, the characters it stems from; nil where text is the original's bytes unchanged
	token int32  // id of the added token that this piece is, else noToken
}

// slice returns text[i:j] as a piece.
func (p piece) slice(i, j int) piece {
	q := piece{text: p.text[i:j], base: p.base + i, token: noToken}
	if p.align != nil {
		q.align = p.align[i:j]
	}
	return q
}

// source returns the range of the original text that text[i:j] stems from; i < j. Where a character is cut, the range is too.
func (p piece) source(i, j int) span {
	if p.align == nil {
		return span{p.base + i, p.base + j}
	}
	return span{p.align[i].start, p.align[j-1].end}
}

// aligned returns the per-byte alignment of the piece, building the trivial one where it is implicit.
func (p piece) aligned() []span {
	if p.align != nil {
		return p.align
	}
	align := make([]span, 0, len(p.text))
	for i, r := range p.text {
		s := span{p.base + i, p.base + i + utf8.RuneLen(r)}
		for range s.end - s.start {
			align = append(align, s)
		}
	}
	return align
}

// charIndex maps byte offsets of a text to character offsets. The nil index is the identity, right for ASCII.
type charIndex []int32

func newCharIndex(text string) charIndex {
	if isASCII(text) {
		return nil
	}
	index := make(charIndex, len(text))
	char := int32(-1)
	for i := range len(text) {
		if utf8.RuneStart(text[i]) {
			char++
		}
		index[i] = char
	}
	return index
}

// chars returns the range of all characters that the non-empty byte range s touches.
func (x charIndex) chars(s span) [2]int {
	if x == nil {
		return [2]int{s.start, s.end}
	}
	return [2]int{int(x[s.start]), int(x[s.end-1]) + 1}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
