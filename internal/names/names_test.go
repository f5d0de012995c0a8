package names

import (
	"reflect"
	"strings"
	"testing"
)

func TestAMessageNamesWhatWasProbablyMeant(t *testing.T) {
	known := []string{"adamw", "muon", "sgd"}
	for name, want := range map[string]string{
		"AdmW": `unknown optimizer "AdmW"; known are adamw, muon, sgd; did you mean adamw?`,
		"sg":   `unknown optimizer "sg"; known are adamw, muon, sgd; did you mean sgd?`,
		"lion": `unknown optimizer "lion"; known are adamw, muon, sgd`,
		"":     `unknown optimizer ""; known are adamw, muon, sgd`,
	} {
		if found := Unknown("optimizer", name, known); found != want {
			t.Errorf("found %s\nwant  %s", found, want)
		}
	}
	if found := DidYouMean("a1", []string{"a3", "a2", "b"}); found != "; did you mean a2 or a3?" {
		t.Errorf("found %s", found)
	}
}

func TestFewOfMany(t *testing.T) {
	list := []string{"a", "b", "c"}
	for most, want := range map[int]string{4: "a, b, c", 3: "a, b, c", 2: "a, b and 1 more", 1: "a and 2 more"} {
		if found := Few(list, most); found != want {
			t.Errorf("%d: found %s, want %s", most, found, want)
		}
	}
	if found := Few(nil, 2); found != "" {
		t.Errorf("found %q", found)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"lr", "weight_decay", "betas", "eps", "momentum", "nesterov", "name"}
	for word, want := range map[string][]string{
		"lrr": {"lr"}, "rl": {"lr"}, "weight-decay": {"weight_decay"}, "weightdecay": {"weight_decay"}, "Betas": {"betas"}, "beta": {"betas"},
		"mom": {"momentum"}, "nmae": {"name"}, "": nil, "x": nil, "quantization": nil, strings.Repeat("lr", 1000): nil,
	} {
		if got := Nearest(word, keys); !reflect.DeepEqual(got, want) {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
	if got := Nearest("a1", []string{"a4", "a3", "a2", "a5"}); !reflect.DeepEqual(got, []string{"a2", "a3", "a4"}) {
		t.Errorf("ties: %q", got)
	}
}

func TestDistanceIsSymmetricAndZeroOnlyForEqualWords(t *testing.T) {
	words := []string{"", "a", "ab", "ba", "abc", "kitten", "sitting", "weight_decay", "decay_weight"}
	for _, a := range words {
		for _, b := range words {
			if d := distance(a, b); d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
				t.Errorf("distance(%q, %q) = %d, back %d", a, b, d, distance(b, a))
			}
		}
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("kitten to sitting: %d", d)
	}
}

// TestZeroSettingsThatDoNotApplyAreLeftOut writes the option omitzero and reads the result back.
