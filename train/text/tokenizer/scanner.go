package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The regular expressions that split text in the GPT-2, Llama-3 and Qwen2 families. Nearly all byte-level files carry one of
// them; they are compiled by hand into scanners.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// A scanner returns the end of the match that starts at text[i]; i < len(text). These patterns match at every position, so
// matches follow each other without gaps.
type scanner func(text string, i int) int

var scanners = map[string]scanner{
	gpt2Pattern:   scanGPT2,
	llama3Pattern: func(text string, i int) int { return scanLlama3(text, i, 3) },
	qwen2Pattern:  func(text string, i int) int { return scanLlama3(text, i, 1) },
}

// class is what the patterns distinguish characters by.
type class uint8

const (
	other   class = iota // [^\s\p{L}\p{N}]
	letter               // \p{L}
	number               // \p{N}
	space                // \s but not \r, \n
	newline              // \r, \n
)

var asciiClass = func() (t [utf8.RuneSelf]class) {
	for r := range rune(utf8.RuneSelf) {
		t[r] = unicodeClass(r)
	}
	return t
}()

func unicodeClass(r rune) class {
	switch {
	case r == '\n' || r == '\r':
		return newline
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

func classOf(r rune) class {
	if r < utf8.RuneSelf {
		return asciiClass[r]
	}
	return unicodeClass(r)
}

// classAt returns the class and the length of the character at text[i]; past the end, the length is 0.
func classAt(text string, i int) (class, int) {
	if i >= len(text) {
		return other, 0
	}
	if c := text[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	return unicodeClass(r), n
}

// runEnd returns the end of the run of characters of class c at text[i].
func runEnd(text string, i int, c class) int {
	for {
		k, n := classAt(text, i)
		if n == 0 || k != c {
			return i
		}
		i += n
	}
}

func scanGPT2(text string, i int) int {
	if n := contraction(text[i:]); n > 0 {
		return i + n
	}
	c, n := classAt(text, i)
	if c < space {
		return runEnd(text, i+n, c)
	}
	if text[i] == ' ' {
		if c, n := classAt(text, i+1); n > 0 && c < space {
			return runEnd(text, i+1+n, c)
		}
	}
	end, last, _ := whiteSpace(text, i)
	return leaveLast(text, i, end, last)
}

// scanLlama3 scans with the Llama-3 pattern (digits 3) or the Qwen2 pattern (digits 1).
func scanLlama3(text string, i, digits int) int {
	if n := foldedContraction(text[i:]); n > 0 {
		return i + n
	}
	c, n := classAt(text, i)
	j := i + n
	switch c {
	case letter:
		return runEnd(text, j, letter)
	case number:
		return digitsEnd(text, j, digits-1)
	}
	next, n := classAt(text, j)
	if n > 0 && next == letter && c != newline {
		return runEnd(text, j+n, letter)
	}
	if c == other || text[i] == ' ' && n > 0 && next == other {
		return runEnd(text, runEnd(text, j, other), newline)
	}
	end, last, lines := whiteSpace(text, i)
	if lines > i {
		return lines
	}
	return leaveLast(text, i, end, last)
}

// digitsEnd returns the end of at most max characters of class number at text[i].
func digitsEnd(text string, i, max int) int {
	for range max {
		c, n := classAt(text, i)
		if n == 0 || c != number {
			break
		}
		i += n
	}
	return i
}

// whiteSpace returns the end of the white space at text[i], the start of its last character, and the end of its last \r or \n
// (i where it has none).
func whiteSpace(text string, i int) (end, last, lines int) {
	end, last, lines = i, i, i
	for {
		c, n := classAt(text, end)
		if n == 0 || c < space {
			return end, last, lines
		}
		last = end
		end += n
		if c == newline {
			lines = end
		}
	}
}

// leaveLast is `\s+(?!\S)|\s+`: white space before other text leaves its last character to that text, unless it is the only one.
func leaveLast(text string, i, end, last int) int {
	if end == len(text) || last == i {
		return end
	}
	return last
}

// contraction returns the length of the English contraction that s starts with, or 0.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if strings.HasPrefix(s, "'re") || strings.HasPrefix(s, "'ve") || strings.HasPrefix(s, "'ll") {
		return 3
	}
	return 0
}

// foldedContraction is contraction in any letter case.
func foldedContraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	if strings.HasPrefix(s[1:], longS) {
		return 1 + len(longS)
	}
	var low [3]byte
	n := copy(low[:], s)
	for i := range n {
		if c := low[i]; 'A' <= c && c <= 'Z' {
			low[i] = c + 'a' - 'A'
		}
	}
	return contraction(string(low[:n]))
}

// longS is the one character outside of ASCII that equals a letter of a contraction (s) when case is ignored.
const longS = "ſ"
