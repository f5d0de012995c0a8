package tokenizer

import "unicode/utf8"

// The byte-level alphabet of GPT-2 spells every byte as one printable character: bytes that are printable in Latin-1 as
// themselves, the others as U+0100, U+0101, ... in the order of the bytes.
var (
	byteSpelling [256]string       // the spelling of a byte in UTF-8
	spelledByte  = map[rune]byte{} // its inverse
)

func init() {
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		byteSpelling[b] = string(r)
		spelledByte[r] = byte(b)
	}
}

// spell returns the byte-level spelling of s.
func spell(s string) string {
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = append(out, byteSpelling[s[i]]...)
	}
	return string(out)
}

// appendUnspelled appends the bytes that a byte-level token spells; a token with a character outside of the alphabet stands
// for its own bytes.
func appendUnspelled(dst []byte, token string) []byte {
	n := len(dst)
	for _, r := range token {
		b, ok := spelledByte[r]
		if !ok {
			return append(dst[:n], token...)
		}
		dst = append(dst, b)
	}
	return dst
}

// isSpelledSpace reports whether r, in a byte-level token, stands for white space that offsets may leave out.
func isSpelledSpace(r rune) bool {
	return r == spelledSpace || classOf(r) >= space
}

var spelledSpace, _ = utf8.DecodeRuneInString("Ġ")
