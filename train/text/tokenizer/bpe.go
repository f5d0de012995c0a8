package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

func init() { models["BPE"] = newBPE }

// bpe is byte-pair encoding: a word starts as its characters, and the pair of neighbours with the lowest rank, the leftmost of
// equals, is merged until no pair has one.
type bpe struct {
	vocabulary
	merges         map[pair]merge
	bytes          [256]int32 // id of the spelling of each byte, noToken where the vocabulary lacks it
	prefix, suffix string     // put before characters that do not begin, after those that end a word, to look them up
	unk            int32      // id for unknown characters, noToken to drop them
	fuseUnk        bool       // one unk for a run of unknown characters
	byteFallback   bool       // unknown characters become tokens <0x00> ... <0xFF>
	ignoreMerges   bool       // words in the vocabulary are not looked into
	scratch        sync.Pool  // of *bpeScratch
}

// pair is two neighbouring ids.
type pair struct{ left, right int32 }

// merge is what becomes of a pair; pairs of lower rank merge first.
type merge struct{ rank, id int32 }

// bpeSpec is the JSON form.
type bpeSpec struct {
	Vocab                   map[string]int32
	Merges                  []mergeSpec
	Dropout                 *float64
	UnkToken                *string `json:"unk_token"`
	ContinuingSubwordPrefix *string `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string `json:"end_of_word_suffix"`
	FuseUnk                 bool    `json:"fuse_unk"`
	ByteFallback            bool    `json:"byte_fallback"`
	IgnoreMerges            bool    `json:"ignore_merges"`
}

// mergeSpec is a merge in either JSON form, "a b" or ["a", "b"].
type mergeSpec struct{ left, right string }

func (m *mergeSpec) UnmarshalJSON(data []byte) error {
	var parts []string
	if data[0] == '[' {
		if err := json.Unmarshal(data, &parts); err != nil {
			return err
		}
	} else {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		if strings.HasPrefix(s, "#version") {
			return nil
		}
		parts = strings.Split(s, " ")
	}
	if len(parts) != 2 {
		return fmt.Errorf("merge %s has %d parts, expected 2", data, len(parts))
	}
	m.left, m.right = parts[0], parts[1]
	return nil
}

func newBPE(_ *loader, raw json.RawMessage) (model, error) {
	var spec bpeSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	if spec.Vocab == nil || spec.Merges == nil {
		return nil, errors.New("vocab or merges missing")
	}
	if spec.Dropout != nil && *spec.Dropout != 0 {
		return nil, fmt.Errorf("dropout %v would make ids random; set it to null", *spec.Dropout)
	}
	vocab, err := newVocabulary(spec.Vocab)
	if err != nil {
		return nil, err
	}
	m := &bpe{
		vocabulary: vocab,
		prefix:     deref(spec.ContinuingSubwordPrefix), suffix: deref(spec.EndOfWordSuffix),
		fuseUnk: spec.FuseUnk, byteFallback: spec.ByteFallback, ignoreMerges: spec.IgnoreMerges,
	}
	if m.unk = m.lookup(deref(spec.UnkToken)); m.unk == noToken && deref(spec.UnkToken) != "" {
		return nil, fmt.Errorf("unk_token %q is not in the vocabulary", *spec.UnkToken)
	}
	for b := range m.bytes {
		m.bytes[b] = m.lookup(byteSpelling[b])
	}
	m.scratch.New = func() any { return newBPEScratch() }
	return m, m.addMerges(spec.Merges)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// lookup returns the id of a token, or noToken.
func (m *bpe) lookup(s string) int32 {
	if id, ok := m.ids[s]; ok {
		return id
	}
	return noToken
}

// addMerges fills the table of merges; of equal pairs the last counts, as in the Rust library.
func (m *bpe) addMerges(specs []mergeSpec) error {
	m.merges = make(map[pair]merge, len(specs))
	for rank, s := range specs {
		if s == (mergeSpec{}) { // a #version line
			continue
		}
		if !strings.HasPrefix(s.right, m.prefix) {
			return fmt.Errorf("merge %d: %q lacks the prefix %q", rank, s.right, m.prefix)
		}
		left, right := m.lookup(s.left), m.lookup(s.right)
		joined := m.lookup(s.left + s.right[len(m.prefix):])
		if left == noToken || right == noToken || joined == noToken {
			return fmt.Errorf("merge %d: %q and %q or what they make is not in the vocabulary", rank, s.left, s.right)
		}
		m.merges[pair{left, right}] = merge{int32(rank), joined}
	}
	return nil
}
