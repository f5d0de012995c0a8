package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestHostedEncodingsEqualTheEngines(t *testing.T) {
	for _, family := range families {
		tok := loadFamily(t, family)
		host := tok.Hosted()
		for _, text := range goldenTexts(t) {
			if len(text) > 400 {
				continue // the host is slow
			}
			got, err := host.EncodeSingle(text)
			if err != nil {
				t.Fatal(err)
			}
			want := tok.SugarmeEncoding(text, false)
			if !slices.Equal(got.Ids, want.Ids) || !slices.Equal(got.Tokens, want.Tokens) {
				t.Fatalf("%s: %q\n got %v\nwant %v", family, text, got.Ids, want.Ids)
			}
			if d, e := host.Decode(got.Ids, false), tok.Decode(tok.Encode(text, false).IDs, false); d != e {
				t.Fatalf("%s: %q decodes to %q, want %q", family, text, d, e)
			}
		}
	}
}

func TestSugarmeEncodingHasAllFields(t *testing.T) {
	tok := loadFamily(t, "roberta")
	e, s := tok.Encode("héllo <mask>", true), tok.SugarmeEncoding("héllo <mask>", true)
	for i, id := range e.IDs {
		if s.Ids[i] != int(id) || s.Offsets[i][0] != e.Offsets[i][0] || s.Offsets[i][1] != e.Offsets[i][1] ||
			s.SpecialTokenMask[i] != e.SpecialMask[i] || s.AttentionMask[i] != 1 || s.TypeIds[i] != 0 {
			t.Errorf("token %d: %+v, want %+v", i, s, e)
		}
	}
}

func TestHostedModelSavesItsFile(t *testing.T) {
	tok := small(t)
	dir := t.TempDir()
	m := hostedModel{tok}
	if err := m.Save(dir, "copy"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "copy-tokenizer.json"))
	if err != nil || !slices.Equal(got, tok.JSON()) {
		t.Errorf("saved %q, %v", got, err)
	}
	vocab := m.GetVocab()
	vocab["changed"] = 1
	if len(m.GetVocab()) != 4 || m.GetVocabSize() != 4 {
		t.Errorf("vocabulary of %d, size %d, want 4", len(m.GetVocab()), m.GetVocabSize())
	}
}

func TestSugarmeTrainerEqualsTrainBPE(t *testing.T) {
	tr := Trainer{TrainOptions{VocabSize: 260, Specials: []string{"<|endoftext|>"}}}
	words := map[string]int{}
	tr.ProcessTokens(words, []string{"abab", "Ġabab", "Ġabab"})
	m, added := tr.Train(words)
	data, err := TrainBPE(slices.Values([]string{"abab abab abab"}), tr.Options)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.(hostedModel).t.JSON(); !slices.Equal(got, data) {
		t.Errorf("got  %s\nwant %s", got, data)
	}
	if len(added) != 1 || added[0].Content != "<|endoftext|>" {
		t.Errorf("added tokens %v", added)
	}
}
