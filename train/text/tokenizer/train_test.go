package tokenizer

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trainGolden is the content of testdata/train.json.
type trainGolden struct {
	Texts  []string
	Merges []mergeSpec
}

func loadTrainGolden(tb testing.TB) trainGolden {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "train.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var g trainGolden
	if err := json.Unmarshal(data, &g); err != nil {
		tb.Fatal(err)
	}
	return g
}

// mergesOf reads the merges back from a tokenizer.json.
func mergesOf(tb testing.TB, data []byte) []mergeSpec {
	tb.Helper()
	var file struct{ Model struct{ Merges []mergeSpec } }
	if err := json.Unmarshal(data, &file); err != nil {
		tb.Fatal(err)
	}
	return file.Model.Merges
}

func TestTrainedMergesEqualTheRustLibrary(t *testing.T) {
	g := loadTrainGolden(t)
	data, err := TrainBPE(slices.Values(g.Texts), TrainOptions{VocabSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	got := mergesOf(t, data)
	for i := range min(len(got), len(g.Merges)) {
		if got[i] != g.Merges[i] {
			t.Fatalf("merge %d is %q, want %q", i, got[i], g.Merges[i])
		}
	}
	if len(got) != len(g.Merges) {
		t.Fatalf("%d merges, want %d", len(got), len(g.Merges))
	}
}

func TestTrainingDoesNotDependOnTheOrderOfTexts(t *testing.T) {
	g := loadTrainGolden(t)
	opt := TrainOptions{VocabSize: 500, MinFrequency: 2, Specials: []string{"<|endoftext|>"}}
	want, err := TrainBPE(slices.Values(g.Texts), opt)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		rng.Shuffle(len(g.Texts), func(i, j int) { g.Texts[i], g.Texts[j] = g.Texts[j], g.Texts[i] })
		got, err := TrainBPE(slices.Values(g.Texts), opt)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("another order gives another file")
		}
	}
}

// TestIncrementalTrainingEqualsRecounting recounts, after each merge of a naive trainer, all pairs from scratch, and expects the same
// merges as those of the incremental counts.
func TestIncrementalTrainingEqualsRecounting(t *testing.T) {
	counts := map[string]int{"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5, "ababab": 3, "bananas": 2}
	got, err := trainBPE(counts, TrainOptions{VocabSize: 270, MinFrequency: 2})
	if err != nil {
		t.Fatal(err)
	}
	words := map[string][]string{}
	for w := range counts {
		words[w] = strings.Split(w, "")
	}
	ids := map[string]int{}
	for id, token := range got.tokens {
		ids[token] = id
	}
	for rank, m := range got.merges {
		best, n := mostFrequentPair(words, counts, ids)
		if left, right := got.tokens[m.left], got.tokens[m.right]; best != [2]string{left, right} || n < 2 {
			t.Fatalf("merge %d is %q %q, recounting gives %q with %d", rank, left, right, best, n)
		}
		for w, parts := range words {
			words[w] = joinPair(parts, best)
		}
	}
	if len(got.merges) != 14 {
		t.Errorf("%d merges, expected the vocabulary of 256 + 14 to be full", len(got.merges))
	}
}

func mostFrequentPair(words map[string][]string, counts map[string]int, ids map[string]int) (best [2]string, most int) {
	pairs := map[[2]string]int{}
	for w, parts := range words {
		for i := range len(parts) - 1 {
			pairs[[2]string{parts[i], parts[i+1]}] += counts[w]
		}
	}
	for p, n := range pairs {
		lower := ids[p[0]] < ids[best[0]] || p[0] == best[0] && ids[p[1]] < ids[best[1]]
		if n > most || n == most && lower {
			best, most = p, n
		}
	}
	return best, most
}

func joinPair(parts []string, p [2]string) (out []string) {
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == p[0] && parts[i+1] == p[1] {
			out = append(out, p[0]+p[1])
			i++
		} else {
			out = append(out, parts[i])
		}
	}
	return out
}

func TestTrainedVocabularyIsSpecialsBytesMerges(t *testing.T) {
	opt := TrainOptions{VocabSize: 300, Specials: []string{"<|endoftext|>", "<|pad|>"}}
	data, err := TrainBPE(slices.Values(loadTrainGolden(t).Texts), opt)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := New(data)
	if err != nil {
		t.Fatal(err)
	}
	if tok.VocabSize() != 300 {
		t.Errorf("vocabulary of %d tokens, want 300", tok.VocabSize())
	}
	for id, want := range []string{"<|endoftext|>", "<|pad|>", "!", `"`} {
		if got, _ := tok.Token(int32(id)); got != want {
			t.Errorf("token %d is %q, want %q", id, got, want)
		}
	}
	if ids := tok.Encode("<|endoftext|>", true).IDs; !slices.Equal(ids, []int32{0}) {
		t.Errorf("the special token has ids %v, want [0]", ids)
	}
}

func TestTrainingRefusesImpossibleOptions(t *testing.T) {
	for _, opt := range []TrainOptions{{VocabSize: 255}, {VocabSize: 256, Specials: []string{"<s>"}}, {VocabSize: 300, Specials: []string{""}}} {
		if _, err := TrainBPE(slices.Values([]string{"text"}), opt); err == nil {
			t.Errorf("%+v: no error", opt)
		}
	}
}

// goSource returns the Go files of a directory of the standard library, in lexical order.
func goSource(tb testing.TB, dir string) (texts []string) {
	tb.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Skipf("the go command is needed to find the standard library: %v", err)
	}
	dir = filepath.Join(strings.TrimSpace(string(root)), "src", dir)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		data, err := os.ReadFile(path)
		texts = append(texts, string(data))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return texts
}

// BenchmarkTrain makes a vocabulary of 4096 tokens from the source of package net.
func BenchmarkTrain(b *testing.B) {
	texts := goSource(b, "net")
	b.SetBytes(int64(len(strings.Join(texts, ""))))
	for b.Loop() {
		if _, err := TrainBPE(slices.Values(texts), TrainOptions{VocabSize: 4096, MinFrequency: 2}); err != nil {
			b.Fatal(err)
		}
	}
}
