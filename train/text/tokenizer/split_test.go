package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSplitBehaviors(t *testing.T) {
	// From the documentation of the Rust library's SplitDelimiterBehavior.
	const text = "the-final--countdown"
	tests := map[string][]string{
		"Removed":            {"the", "final", "countdown"},
		"Isolated":           {"the", "-", "final", "-", "-", "countdown"},
		"MergedWithPrevious": {"the-", "final-", "-", "countdown"},
		"MergedWithNext":     {"the", "-final", "-", "-countdown"},
		"Contiguous":         {"the", "-", "final", "--", "countdown"},
	}
	for behavior, want := range tests {
		split, err := newSplit(nil, []byte(`{"behavior":"`+behavior+`","pattern":{"String":"-"}}`))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := split.split(piece{text: text}, func(p piece) { got = append(got, p.text) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", behavior, got, want)
		}
	}
}

// TestRunawayRegexIsReported gives a pattern that backtracks exponentially next to no time.
func TestRunawayRegexIsReported(t *testing.T) {
	re, err := compileRegex(`x|(a+)+!`)
	if err != nil {
		t.Fatal(err)
	}
	re.MatchTimeout = time.Millisecond
	find := func(text string) ([]match, error) { return findRegex(text, re) }
	tok := small(t)
	tok.preTokenizer = patternSplit{find: find, arrange: behaviors["Isolated"]}
	text := "x" + strings.Repeat("a", 5000)
	e, err := tok.TryEncode(text, false)
	if err == nil || !strings.Contains(err.Error(), "split by regex") {
		t.Errorf("error %v, expected one that names the regex", err)
	}
	if len(e.IDs) != 5000 {
		t.Errorf("%d tokens, expected the rest of the text to be tokenized whole", len(e.IDs))
	}
}
