package tokenizer

import (
	"fmt"
	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
	sugarme "github.com/sugarme/tokenizer"
)

// This file is the bridge to github.com/sugarme/tokenizer. Its types can host this package's engine as a Model that runs the
// whole pipeline; its own added vocabulary, truncation and left padding differ from the Rust library and stay unused.

// Hosted returns the engine inside a sugarme Tokenizer, for callers that want that type. Its Encode gives exact ids and byte
// offsets without the special tokens of the post-processor, which [Tokenizer.SugarmeEncoding] has. Texts must be valid UTF-8.
func (t *Tokenizer) Hosted() *sugarme.Tokenizer {
	host := sugarme.NewTokenizer(hostedModel{t})
	host.WithDecoder(hostedDecoder{t})
	return host
}

// SugarmeEncoding is Encode in the form of a sugarme Encoding, offsets in characters.
func (t *Tokenizer) SugarmeEncoding(text string, addSpecial bool) *sugarme.Encoding {
	e := t.Encode(text, addSpecial)
	n := len(e.IDs)
	ids, words, attention := make([]int, n), make([]int, n), make([]int, n)
	offsets := make([][]int, n)
	for i, id := range e.IDs {
		ids[i], words[i], attention[i] = int(id), -1, 1
		offsets[i] = e.Offsets[i][:]
	}
	return sugarme.NewEncoding(ids, make([]int, n), e.Pieces, offsets, e.SpecialMask, attention, nil,
		sugarme.WithWordsEncodingOpt(words))
}

// hostedModel is a sugarme.Model whose Tokenize takes a whole text.
type hostedModel struct{ t *Tokenizer }

var _ sugarme.Model = hostedModel{}

// Tokenize implements sugarme.Model; offsets are in bytes.
func (m hostedModel) Tokenize(text string) ([]sugarme.Token, error) {
	var tokens []sugarme.Token
	err := m.t.tokenize(validUTF8(text), func(id int32, piece string, from span) {
		tokens = append(tokens, sugarme.NewToken(int(id), piece, []int{from.start, from.end}))
	})
	return tokens, err
}

// TokenToId implements sugarme.Model.
func (m hostedModel) TokenToId(token string) (int, bool) {
	id, ok := m.t.TokenID(token)
	return int(id), ok
}

// IdToToken implements sugarme.Model.
func (m hostedModel) IdToToken(id int) (string, bool) {
	if int(int32(id)) != id {
		return "", false
	}
	return m.t.Token(int32(id))
}

// GetVocab implements sugarme.Model; the map is the caller's.
func (m hostedModel) GetVocab() map[string]int {
	vocab := make(map[string]int, m.t.VocabSize())
	for _, ids := range []map[string]int32{m.t.model.vocab(), m.t.added.ids} {
		for token, id := range ids {
			vocab[token] = int(id)
		}
	}
	return vocab
}

// GetVocabSize implements sugarme.Model.
func (m hostedModel) GetVocabSize() int { return m.t.VocabSize() }

// Save implements sugarme.Model: it writes [prefix-]tokenizer.json into a directory.
func (m hostedModel) Save(dir string, prefix ...string) error {
	name := "tokenizer.json"
	if len(prefix) > 0 && prefix[0] != "" {
		name = prefix[0] + "-" + name
	}
	return atomicfile.WriteBytes(filepath.Join(dir, name), m.t.data)
}

// hostedDecoder is a sugarme.Decoder.
type hostedDecoder struct{ t *Tokenizer }

// Decode implements sugarme.Decoder.
func (d hostedDecoder) Decode(tokens []string) string {
	var text []byte
	for i, token := range tokens {
		text = d.t.decoder.appendToken(text, token, i == 0)
	}
	return validUTF8(string(text))
}

// DecodeChain implements sugarme.Decoder.
func (d hostedDecoder) DecodeChain(tokens []string) []string { return []string{d.Decode(tokens)} }

// Trainer is TrainBPE as a sugarme.Trainer. Words are spelled in the byte-level alphabet.
type Trainer struct{ Options TrainOptions }

var _ sugarme.Trainer = Trainer{}

// WithProgressBar implements sugarme.Trainer: there is none.
func (Trainer) WithProgressBar() bool { return false }

// ProcessTokens implements sugarme.Trainer: it counts words.
func (Trainer) ProcessTokens(words map[string]int, tokens []string) {
	for _, token := range tokens {
		words[token]++
	}
}

// Train implements sugarme.Trainer. It returns nil where the options do not allow a vocabulary; [TrainBPE] says why.
func (tr Trainer) Train(words map[string]int) (sugarme.Model, []sugarme.AddedToken) {
	plain := make(map[string]int, len(words))
	for word, n := range words {
		plain[string(appendUnspelled(nil, word))] += n
	}
	t, err := trainCounted(plain, tr.Options)
	if err != nil {
		return nil, nil
	}
	var added []sugarme.AddedToken
	for _, s := range tr.Options.Specials {
		added = append(added, sugarme.NewAddedToken(s, true))
	}
	return hostedModel{t}, added
}

func trainCounted(counts map[string]int, opt TrainOptions) (*Tokenizer, error) {
	v, err := trainBPE(counts, opt)
	if err != nil {
		return nil, err
	}
	data, err := v.marshal(opt.Specials)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: train: %w", err)
	}
	return New(data)
}
