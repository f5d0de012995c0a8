package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train/text/tokenizer"
)

func bundledTokenizer(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	path, err := configs.Resolve("builtin:quickstart/model")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// printAll hands the tokens of a text to a printer and returns the parts it wrote.
func printAll(t *testing.T, tok *tokenizer.Tokenizer, text string, stops ...string) (parts []string, stopped bool) {
	t.Helper()
	var out bytes.Buffer
	p := &printer{tok: tok, stops: stops, w: &out}
	for _, id := range tok.Encode(text, false).IDs {
		err := p.add(id)
		if out.Len() > 0 {
			parts = append(parts, out.String())
			out.Reset()
		}
		if errors.Is(err, errStop) {
			stopped = true
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	parts = append(parts, out.String())
	if got := strings.Join(parts, ""); got != p.text.String() {
		t.Errorf("wrote %q, kept %q", got, p.text.String())
	}
	return parts, stopped
}

func TestStreamedTextIsTheDecodedText(t *testing.T) {
	tok := bundledTokenizer(t)
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("ab \n\tif{}()éß→日本語👩‍🔬")
	texts := []string{"func main() {\n\tprintln(\"grüße, 世界 👋\")\n}\n", "", " ", "👋👋"}
	for range 200 {
		runes := make([]rune, rng.IntN(20))
		for i := range runes {
			runes[i] = alphabet[rng.IntN(len(alphabet))]
		}
		texts = append(texts, string(runes))
	}
	for _, text := range texts {
		parts, stopped := printAll(t, tok, text)
		if got := strings.Join(parts, ""); got != text || stopped {
			t.Errorf("streamed %q, expected %q", got, text)
		}
		for _, part := range parts {
			if strings.Contains(part, "\uFFFD") {
				t.Errorf("%q: a part %q cuts a character", text, part)
			}
		}
	}
}

func TestTextIsWrittenAsSoonAsItIsCertain(t *testing.T) {
	parts, _ := printAll(t, bundledTokenizer(t), "func main() { return }")
	if len(parts) < 4 {
		t.Errorf("written in %d parts: %q", len(parts), parts)
	}
}

func TestStopTextsEndTheTextBeforeThem(t *testing.T) {
	tok := bundledTokenizer(t)
	for _, c := range []struct {
		text  string
		stops []string
		want  string
		stop  bool
	}{
		{"a ### b", []string{"###"}, "a ", true},
		{"a ## b", []string{"###"}, "a ## b", false},
		{"a ##", []string{"###"}, "a ##", false},
		{"x\n\ny", []string{"zzz", "\n\n"}, "x", true},
		{"###", []string{"###"}, "", true},
		{"one two three", []string{"two three", "two"}, "one ", true},
		{"aaab", []string{"aab"}, "a", true},
	} {
		parts, stopped := printAll(t, tok, c.text, c.stops...)
		if got := strings.Join(parts, ""); got != c.want || stopped != c.stop {
			t.Errorf("%q with stops %q: %q, stopped %v; expected %q, %v", c.text, c.stops, got, stopped, c.want, c.stop)
		}
	}
}
