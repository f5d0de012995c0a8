package tokenizer

import "slices"

// Tokenizer turns texts into ids of a vocabulary and back. It is safe for concurrent use once configured.
type Tokenizer struct {
	data         []byte // the tokenizer.json it was made from
	added        *addedVocabulary
	normalizer   normalizer   // nil for none
	preTokenizer preTokenizer // nil for none
	spelled      bool         // the model's vocabulary is spelled in the byte-level alphabet
	model        model
	post         postProcessor // nil for none
	decoder      decoder
	config       Config
	size         int
}

// Encoding is a tokenized text; all slices have one entry for each token.
type Encoding struct {
	IDs         []int32
	Offsets     [][2]int // half-open range of characters of the text; [0 0] for special tokens that were added
	Pieces      []string // the token as its vocabulary spells it
	SpecialMask []int    // 1 for special tokens that were added, 0 for those that stem from the text
}

// newEncoding returns an empty encoding with room for n tokens.
func newEncoding(n int) Encoding {
	return Encoding{make([]int32, 0, n), make([][2]int, 0, n), make([]string, 0, n), make([]int, 0, n)}
}

func (e *Encoding) append(id int32, offsets [2]int, piece string, mask int) {
	e.IDs = append(e.IDs, id)
	e.Offsets = append(e.Offsets, offsets)
	e.Pieces = append(e.Pieces, piece)
	e.SpecialMask = append(e.SpecialMask, mask)
}

// Encode tokenizes a text; addSpecial adds the special tokens that the file's post-processor prescribes for a single text.
//
// It cannot fail with the patterns of the GPT-2, Llama-3 and Qwen2 families. Where a file brings another regular expression and
// its search runs out of time, the rest of the text is split less than it should be; [Tokenizer.TryEncode] reports that.
func (t *Tokenizer) Encode(text string, addSpecial bool) Encoding {
	e, _ := t.TryEncode(text, addSpecial)
	return e
}

// TryEncode is Encode with the error of a regular expression that ran out of time.
func (t *Tokenizer) TryEncode(text string, addSpecial bool) (Encoding, error) {
	text = validUTF8(text)
	e := newEncoding(len(text)/4 + 8) // about what English and code need
	index := newCharIndex(text)
	err := t.tokenize(text, func(id int32, piece string, from span) {
		e.append(id, index.chars(from), piece, 0)
	})
	if t.post != nil {
		e = t.post.process(e, addSpecial)
	}
	return e, err
}

// tokenize runs the pipeline over valid UTF-8 and yields the tokens with the bytes of text they stem from.
func (t *Tokenizer) tokenize(text string, yield func(id int32, piece string, from span)) error {
	var tokens []token
	return t.words(text, func(w piece) {
		if w.token != noToken {
			yield(w.token, w.text, w.source(0, len(w.text)))
			return
		}
		tokens = t.model.tokenize(tokens[:0], w.text, t.spelled)
		for _, tok := range tokens {
			piece, _ := t.model.token(tok.id)
			yield(tok.id, piece, w.source(tok.start, tok.end))
		}
	})
}

// words yields the added tokens of a text and the words that the model tokenizes. It looks for added tokens in the raw text
// first; each part between them is normalized, searched for the other added tokens, and pre-tokenized.
func (t *Tokenizer) words(text string, yield func(piece)) error {
	var failed error
	preTokenize := func(p piece) {
		if p.token != noToken || t.preTokenizer == nil {
			yield(p)
		} else if err := t.preTokenizer.split(p, yield); err != nil {
			failed = err
		}
	}
	t.added.split(piece{text: text, token: noToken}, &t.added.raw, func(p piece) {
		if p.token != noToken {
			yield(p)
			return
		}
		if t.normalizer != nil {
			p = t.normalizer.normalize(p)
		}
		t.added.split(p, &t.added.normalized, preTokenize)
	})
	return failed
}

// Decode returns the text of ids; unknown ids stand for nothing. Bytes that are not valid UTF-8 become U+FFFD.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var text []byte
	first := true
	for _, id := range ids {
		if token, ok := t.visible(id, skipSpecial); ok {
			text = t.decoder.appendToken(text, token, first)
			first = false
		}
	}
	return validUTF8(string(text))
}

// visible returns the token of an id unless it is unknown or, with skipSpecial, special.
func (t *Tokenizer) visible(id int32, skipSpecial bool) (string, bool) {
	if a, ok := t.added.tokens[id]; ok {
		return a.Content, !(skipSpecial && a.Special)
	}
	return t.model.token(id)
}

// TokenID returns the id of a token as the vocabulary spells it, such as "<|endoftext|>" or "Ġthe".
func (t *Tokenizer) TokenID(token string) (int32, bool) {
	if id, ok := t.added.ids[token]; ok {
		return id, true
	}
	return t.model.id(token)
}

// Token returns the token of an id as the vocabulary spells it.
func (t *Tokenizer) Token(id int32) (string, bool) { return t.visible(id, false) }

// VocabSize returns the number of tokens, added ones included. A model's embedding may have more rows.
func (t *Tokenizer) VocabSize() int { return t.size }

// JSON returns a copy of the tokenizer.json that the Tokenizer was made from, to be stored beside a model.
func (t *Tokenizer) JSON() []byte { return slices.Clone(t.data) }
