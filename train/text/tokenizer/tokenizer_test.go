package tokenizer

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestInvalidUTF8BecomesReplacementCharacters(t *testing.T) {
	// The right column is what Python's bytes.decode("utf-8", "replace") returns.
	tests := []struct{ in, want string }{
		{"a\xffb", "a\uFFFDb"},
		{"\xff\xfe", "\uFFFD\uFFFD"},
		{"\xe4\xb8", "\uFFFD"},
		{"\xe4\xb8x\xb8", "\uFFFDx\uFFFD"},
		{"\xf0\x9f\x98", "\uFFFD"},
		{"\xf0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
		{"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"}, // a surrogate
		{"\xc0\xaf", "\uFFFD\uFFFD"},
		{"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
		{"中\xe4\xb8中", "中\uFFFD中"},
		{"\uFFFD", "\uFFFD"},
	}
	tok := loadFamily(t, "llama3_new")
	for _, test := range tests {
		if got := validUTF8(test.in); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.in, got, test.want)
		}
		if got, want := tok.Encode(test.in, true), tok.Encode(test.want, true); !reflect.DeepEqual(got, want) {
			t.Errorf("%q encodes as %v, want %v", test.in, got, want)
		}
	}
}

func TestStreamGivesTheDecodedTextInWholeCharacters(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, family := range families {
		tok := loadFamily(t, family)
		for range 500 {
			ids := make([]int32, rng.IntN(20))
			for i := range ids {
				ids[i] = rng.Int32N(256) // mostly single bytes, valid and invalid
			}
			ids = append(ids, tok.Encode("naïve 中文 👩‍👩‍👧", true).IDs...)
			var b strings.Builder
			s := tok.NewStream()
			for _, id := range ids {
				text := s.Push(id)
				if !utf8.ValidString(text) {
					t.Fatalf("%v: pushed %q", ids, text)
				}
				b.WriteString(text)
			}
			b.WriteString(s.Flush())
			if want := tok.Decode(ids, true); b.String() != want {
				t.Fatalf("%s: %v\nstreamed %q\ndecoded  %q", family, ids, b.String(), want)
			}
		}
	}
}

func TestStreamHoldsBackUnfinishedCharacters(t *testing.T) {
	tok := loadFamily(t, "gpt2_new")
	s := tok.NewStream()
	var got []string
	for _, c := range []byte("a😀") {
		id, ok := tok.TokenID(byteSpelling[c])
		if !ok {
			t.Fatalf("no token for byte %#x", c)
		}
		got = append(got, s.Push(id))
	}
	if want := []string{"a", "", "", "", "😀"}; !reflect.DeepEqual(got, want) {
		t.Errorf("pushed %q, want %q", got, want)
	}
}

func TestConcurrentEncodingsEqualSequentialOnes(t *testing.T) {
	tok := loadFamily(t, "qwen2")
	texts := goldenTexts(t)[:100]
	want := make([]Encoding, len(texts))
	for i, text := range texts {
		want[i] = tok.Encode(text, true)
	}
	fresh := loadFamily(t, "qwen2")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for k := range texts {
				i := (k + 25*g) % len(texts)
				if got := fresh.Encode(texts[i], true); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("%q: got %v, want %v", texts[i], got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// TestLongWordsAreMerged encodes words that quadratic merging would take minutes for.
func TestLongWordsAreMerged(t *testing.T) {
	tok := loadFamily(t, "gpt2_new")
	for _, text := range []string{strings.Repeat("a", 1<<17), strings.Repeat("ab", 1<<16), strings.Repeat(" ", 1<<17), strings.Repeat("=", 1<<17)} {
		if got := tok.Decode(tok.Encode(text, false).IDs, false); got != text {
			t.Errorf("%q... does not come back", text[:8])
		}
	}
}

func TestUnknownIDsHaveNoToken(t *testing.T) {
	tok := loadFamily(t, "gpt2_new")
	for _, id := range []int32{-1, 1 << 30, -1 << 31} {
		if s, ok := tok.Token(id); ok {
			t.Errorf("token %d is %q", id, s)
		}
	}
	if got := tok.Decode([]int32{-1, 0, 1 << 30}, false); got != "!" {
		t.Errorf("decoded %q, want only the known token", got)
	}
}

func TestEveryTokenHasItsID(t *testing.T) {
	for _, family := range families {
		tok := loadFamily(t, family)
		n := 0
		for id := int32(0); n < tok.VocabSize() && id < 1<<20; id++ {
			token, ok := tok.Token(id)
			if !ok {
				continue
			}
			n++
			if back, ok := tok.TokenID(token); !ok || back != id {
				t.Fatalf("%s: token %d is %q, whose id is %d", family, id, token, back)
			}
		}
		if n != tok.VocabSize() {
			t.Errorf("%s: %d tokens, VocabSize %d", family, n, tok.VocabSize())
		}
	}
}

// FuzzEncode holds the law of byte-level vocabularies: ids decode to the text they came from, where nothing normalizes it, and
// offsets are ranges of characters in order.
func FuzzEncode(f *testing.F) {
	for _, s := range append(patternAlphabet, "", "a\xffb", "<|endoftext|>", "<|begin_of_text|> x", "  <|eot_id|>\n\n") {
		f.Add(s)
	}
	toks := []*Tokenizer{loadFamily(f, "gpt2_new"), loadFamily(f, "llama3_new")}
	f.Fuzz(func(t *testing.T, text string) {
		chars := utf8.RuneCountInString(validUTF8(text))
		for _, tok := range toks {
			e := tok.Encode(text, false)
			if got := tok.Decode(e.IDs, false); got != validUTF8(text) {
				t.Fatalf("%q comes back as %q", text, got)
			}
			last := [2]int{}
			for i, off := range e.Offsets {
				if off[0] < last[0] || off[1] < last[1] || off[0] >= off[1] || off[1] > chars {
					t.Fatalf("%q: offsets %v after %v at token %d of %d characters", text, off, last, i, chars)
				}
				last = off
			}
			if last[1] != chars {
				t.Fatalf("%q: offsets end at %d of %d characters", text, last[1], chars)
			}
		}
	})
}

// BenchmarkEncode encodes Go source: whole texts with pieces and offsets.
func BenchmarkEncode(b *testing.B) {
	text := strings.Join(goSource(b, "net/http"), "")[:1<<20]
	for _, family := range families {
		b.Run(family, func(b *testing.B) {
			tok := loadFamily(b, family)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(text, false)
			}
		})
	}
}

// BenchmarkDecode decodes what BenchmarkEncode encodes.
func BenchmarkDecode(b *testing.B) {
	text := strings.Join(goSource(b, "net/http"), "")[:1<<20]
	tok := loadFamily(b, "llama3_new")
	ids := tok.Encode(text, false).IDs
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Decode(ids, true)
	}
}
