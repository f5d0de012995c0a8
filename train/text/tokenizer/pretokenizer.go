package tokenizer

import (
	"encoding/json"
	"errors"
)

// preTokenizer splits a piece that is not empty into the words that the model sees one at a time. It yields them in order; on an
// error, what it has not split is yielded whole.
type preTokenizer interface {
	split(p piece, yield func(piece)) error
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

func (s preTokenizerSequence) split(p piece, yield func(piece)) error {
	switch len(s) {
	case 0:
		yield(p)
		return nil
	case 1:
		return s[0].split(p, yield)
	}
	var failed error
	err := s[0].split(p, func(word piece) {
		if err := s[1:].split(word, yield); err != nil {
			failed = err
		}
	})
	return errors.Join(err, failed)
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
