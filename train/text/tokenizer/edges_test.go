package tokenizer

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// TestUnusualSettingsEqualTheRustLibrary runs small vocabularies under settings that the published files hardly use.
func TestUnusualSettingsEqualTheRustLibrary(t *testing.T) {
	type answer struct {
		golden
		Pieces   []string
		Reversed string
	}
	cases := readLines[struct {
		Tokenizer json.RawMessage
		Texts     []string
		Want      []answer
	}](t, filepath.Join("testdata", "edges.jsonl.gz"))
	for i, c := range cases {
		tok, err := New(c.Tokenizer)
		if err != nil {
			t.Errorf("case %d: %v", i, err)
			continue
		}
		for k, text := range c.Texts {
			got, want := tok.Encode(text, true), c.Want[k]
			wanted := Encoding{want.IDs, want.Off, want.Pieces, want.Mask}
			if !reflect.DeepEqual(got, wanted) {
				t.Errorf("case %d: %q\n got %+v\nwant %+v", i, text, got, wanted)
			}
			if dec := tok.Decode(want.IDs, true); dec != want.Dec {
				t.Errorf("case %d: decode %v\n got %q\nwant %q", i, want.IDs, dec, want.Dec)
			}
			slices.Reverse(want.IDs)
			if dec := tok.Decode(want.IDs, false); dec != want.Reversed {
				t.Errorf("case %d: decode %v\n got %q\nwant %q", i, want.IDs, dec, want.Reversed)
			}
		}
	}
}
