package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/geotune/geotune/internal/goldens"
)

// families are the folders of tokenizer_json whose files are supported.
var families = []string{"gpt2_new", "llama3_new", "qwen2", "roberta"}

// golden is the Rust library's answer for one text.
type golden struct {
	IDs     []int32  `json:"ids"`
	NoSp    []int32  `json:"ids_nosp"`
	Off     [][2]int `json:"off"`
	Mask    []int    `json:"mask"`
	Dec     string   `json:"dec"`
	DecFull string   `json:"decFull"`
}

// TestEncodingAndDecodingEqualTheRustLibrary compares every field for every text of every family.
func TestEncodingAndDecodingEqualTheRustLibrary(t *testing.T) {
	texts := goldenTexts(t)
	for _, family := range families {
		t.Run(family, func(t *testing.T) {
			dir := goldens.Case(t, filepath.Join("tokenizer_json", family))
			tok := loadFamily(t, family)
			wants := readLines[golden](t, filepath.Join(dir, "expected.jsonl.gz"))
			if len(wants) != len(texts) {
				t.Fatalf("%d answers for %d texts", len(wants), len(texts))
			}
			mismatches := map[string]int{}
			for i, want := range wants {
				for _, field := range differences(tok, texts[i], want) {
					if mismatches[field]++; mismatches[field] <= 3 {
						t.Errorf("%s differs for %q", field, texts[i])
					}
				}
			}
			t.Logf("%d texts, mismatches by field: %v", len(wants), mismatches)
		})
	}
}

// differences names the fields in which the tokenizer's answer is not the wanted one.
func differences(tok *Tokenizer, text string, want golden) (fields []string) {
	got := tok.Encode(text, true)
	check := func(field string, equal bool) {
		if !equal {
			fields = append(fields, field)
		}
	}
	check("ids", slices.Equal(got.IDs, want.IDs))
	check("ids_nosp", slices.Equal(tok.Encode(text, false).IDs, want.NoSp))
	check("off", slices.Equal(got.Offsets, want.Off))
	check("mask", slices.Equal(got.SpecialMask, want.Mask))
	check("dec", tok.Decode(want.IDs, true) == want.Dec)
	check("decFull", tok.Decode(want.IDs, false) == want.DecFull)
	return fields
}

func loadFamily(tb testing.TB, family string) *Tokenizer {
	tb.Helper()
	tok, err := Load(goldens.Case(tb, filepath.Join("tokenizer_json", family)))
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

func goldenTexts(tb testing.TB) []string {
	tb.Helper()
	var texts []string
	for _, line := range readLines[struct{ Text string }](tb, filepath.Join(goldens.Case(tb, "tokenizer_json"), "texts.jsonl.gz")) {
		texts = append(texts, line.Text)
	}
	return texts
}

// readLines reads a gzipped JSONL file.
func readLines[T any](tb testing.TB, path string) []T {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var lines []T
	in := bufio.NewScanner(z)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var line T
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := in.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}
