package tokenizer

import (
	"encoding/json"
	"errors"
)

// preTokenizer splits a piece into the words that the model sees one at a time. It appends them to dst; on an error, what it
// has not split is appended whole.
type preTokenizer interface {
	split(dst []piece, p piece) ([]piece, error)
}

var preTokenizers = registry[preTokenizer]{}

func init() { preTokenizers["Sequence"] = newPreTokenizerSequence }

// preTokenizerSequence splits with each member what the member before it left.
type preTokenizerSequence []preTokenizer

func newPreTokenizerSequence(l *loader, raw json.RawMessage) (preTokenizer, error) {
	var spec struct{ PreTokenizers []json.RawMessage }
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	members, err := buildAll(l, "pre_tokenizer", preTokenizers, spec.PreTokenizers)
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		if i < len(members)-1 && spellsBytes(m) {
			return nil, errors.New("ByteLevel is supported only as the last member")
		}
	}
	return preTokenizerSequence(members), nil
}

func (s preTokenizerSequence) split(dst []piece, p piece) ([]piece, error) {
	words := []piece{p}
	var failed error
	for i, m := range s {
		var next []piece
		if i == len(s)-1 {
			next = dst
		}
		for _, w := range words {
			var err error
			if next, err = m.split(next, w); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		words = next
	}
	if len(s) == 0 {
		return append(dst, p), nil
	}
	return words, failed
}

// spellsBytes reports whether the words that p yields stand for their byte-level spelling.
func spellsBytes(p preTokenizer) bool {
	switch p := p.(type) {
	case byteLevel:
		return true
	case preTokenizerSequence:
		return len(p) > 0 && spellsBytes(p[len(p)-1])
	}
	return false
}
