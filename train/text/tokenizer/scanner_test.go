package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// patternAlphabet holds what the patterns tell apart, and near misses.
var patternAlphabet = []string{" ", "  ", "\n", "\r", "\r\n", "\t", "\v", "\u00a0", "\u0085", "\u2028", "\u3000", "\u200b", "\u200d",
	"'", "'s", "'S", "'T", "'re", "'RE", "'vE", "'m", "'ll", "'lL", "'d", "''", "a", "Z", "é", "e\u0301", "ǅ", "ʰ", "中", "ж", "0", "12", "1234567", "٣", "½", "Ⅷ", "²",
	"_", "-", "!!", "…", "$", "😀", "👩‍👩‍👧", "\x00", "\uFFFD", "\u0301"}

func randomText(rng *rand.Rand, alphabet []string) string {
	var b strings.Builder
	for range rng.IntN(12) {
		b.WriteString(alphabet[rng.IntN(len(alphabet))])
	}
	return b.String()
}

// patternWords splits text by pattern with the backtracking engine.
func patternWords(tb testing.TB, pattern, text string) (words []string) {
	tb.Helper()
	re, err := compileRegex(pattern)
	if err != nil {
		tb.Fatal(err)
	}
	matches, err := findRegex(text, re)
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range matches {
		words = append(words, text[m.start:m.end])
	}
	return words
}

func scannedWords(scan scanner, text string) (words []string) {
	if err := scan.split(piece{text: text}, func(p piece) { words = append(words, p.text) }); err != nil {
		panic(err) // scanners do not fail
	}
	return words
}

func TestScannersSplitAsTheirPatternsDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for pattern, scan := range scanners {
		for range 2000 {
			text := randomText(rng, patternAlphabet)
			if got, want := scannedWords(scan, text), patternWords(t, pattern, text); !slices.Equal(got, want) {
				t.Fatalf("%q by %s\n got %q\nwant %q", text, pattern, got, want)
			}
		}
	}
}

// Oniguruma, the engine of the Rust library, folds U+017F to s; regexp2 does not, so the scanners alone know.
func TestLongSCountsAsContraction(t *testing.T) {
	got := scannedWords(scanners[llama3Pattern], "it'ſx")
	if want := []string{"it", "'ſ", "x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzScanners(f *testing.F) {
	for _, s := range patternAlphabet {
		f.Add("a" + s + "b" + s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.Contains(text, "ſ") {
			t.Skip()
		}
		for pattern, scan := range scanners {
			if got, want := scannedWords(scan, text), patternWords(t, pattern, text); !slices.Equal(got, want) {
				t.Fatalf("%q by %s\n got %q\nwant %q", text, pattern, got, want)
			}
		}
	})
}
