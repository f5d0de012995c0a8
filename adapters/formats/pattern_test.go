package formats_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/geotune/geotune/adapters/formats"
)

func TestRegexpMatchesTheWholeTextAsInPython(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a|ab", "ab", true}, {".*q", "model.q", true}, {"q$", "q", true}, {"^q", "q", true},
		{"(?!.*mlp).*", "x.mlp", false}, {"(?!.*mlp).*", "x.attn", true}, {`(?P<x>a)\1`, "aa", true}, {"(?i)Q", "q", true}, {"", "", true},
	} {
		re, err := formats.CompileRegexp(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := re.Match(c.text); got != c.want {
			t.Errorf("fullmatch(%q, %q) is %v, want %v", c.pattern, c.text, got, c.want)
		}
	}
	if _, err := formats.CompileRegexp("("); err == nil || !strings.Contains(err.Error(), `"("`) {
		t.Errorf("error %v", err)
	}
}

func TestFirstPatternInLexicalOrderCounts(t *testing.T) {
	p, err := formats.NewPatterns(map[string]int{"q_proj": 1, `layers\.1\..*`: 2, "proj": 3})
	if err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string]int{
		"layers.1.q_proj": 2, "model.layers.1.q_proj": 2, "layers.0.q_proj": 1, "q_proj": 1, "xq_proj": 0, "layers.0.proj": 3,
	} {
		if got, key := p.Lookup(module, 0); got != want {
			t.Errorf("%s has %d (by %q), want %d", module, got, key, want)
		}
	}
}

func TestTooManyPatternsAreRefused(t *testing.T) {
	m := map[string]int{}
	for i := range 20_001 {
		m[fmt.Sprint(i)] = 1
	}
	if _, err := formats.NewPatterns(m); err == nil || !strings.Contains(err.Error(), "20001 patterns") {
		t.Errorf("error %v", err)
	}
}
