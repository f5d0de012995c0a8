package tokenizer

import "fmt"

// model turns the words that pre-tokenization leaves into tokens of its vocabulary. Models are safe for concurrent use.
type model interface {
	// tokenize appends the tokens of word to dst. With spelled, the vocabulary holds byte-level spellings and word is the
	// plain text that they spell.
	tokenize(dst []token, word string, spelled bool) []token
	// id returns the id of a token of the vocabulary.
	id(token string) (int32, bool)
	// token returns the token of an id of the vocabulary.
	token(id int32) (string, bool)
	// vocab returns the ids of all tokens; callers only read it.
	vocab() map[string]int32
}

// token is an id and the bytes of the word it stands for.
type token struct {
	id int32
	span
}

var models = registry[model]{}

// vocabulary maps tokens to ids and back.
type vocabulary struct {
	ids    map[string]int32
	tokens []string // by id; "" where an id is not in use
}

func (v *vocabulary) id(token string) (int32, bool) {
	id, ok := v.ids[token]
	return id, ok
}

func (v *vocabulary) token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(v.tokens) {
		return "", false
	}
	s := v.tokens[id]
	if s != "" {
		return s, true
	}
	empty, ok := v.ids[""] // else id is not in use
	return "", ok && empty == id
}

func (v *vocabulary) vocab() map[string]int32 { return v.ids }

// newVocabulary checks the ids of a vocabulary: not negative, distinct, and not so sparse that a table by id wastes memory.
func newVocabulary(ids map[string]int32) (vocabulary, error) {
	limit := int64(4*len(ids) + 1<<16)
	size := 0
	for token, id := range ids {
		if id < 0 || int64(id) >= limit {
			return vocabulary{}, fmt.Errorf("id %d of token %q is out of range [0, %d) for a vocabulary of %d", id, token, limit, len(ids))
		}
		size = max(size, int(id)+1)
	}
	v := vocabulary{ids: ids, tokens: make([]string, size)}
	for token, id := range ids {
		if other := v.tokens[id]; other != "" {
			return vocabulary{}, fmt.Errorf("tokens %q and %q have the same id %d", min(token, other), max(token, other), id)
		}
		v.tokens[id] = token
	}
	return v, nil
}
