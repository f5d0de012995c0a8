package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// maxFile bounds the size of a tokenizer.json; the largest published ones have about 35 MB.
const maxFile = 256 << 20

// Load reads a tokenizer.json, or the one in a directory. A tokenizer_config.json beside it configures the Tokenizer.
func Load(path string) (*Tokenizer, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if st.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	data, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	config, err := LoadConfig(filepath.Dir(path))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	t.Configure(config)
	return t, nil
}

// New makes a Tokenizer from the content of a tokenizer.json. It keeps data, which must not change afterwards.
func New(data []byte) (*Tokenizer, error) {
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: tokenizer.json: %w", err)
	}
	return t, nil
}

// fileSections is the JSON form of a tokenizer.json.
type fileSections struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

func parse(data []byte) (*Tokenizer, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	var file fileSections
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	t := &Tokenizer{data: data}
	l := &loader{}
	var errs [5]error
	t.normalizer, errs[0] = build(l, "normalizer", normalizers, file.Normalizer)
	t.preTokenizer, errs[1] = build(l, "pre_tokenizer", preTokenizers, file.PreTokenizer)
	t.post, errs[2] = build(l, "post_processor", postProcessors, file.PostProcessor)
	t.decoder, errs[3] = build(l, "decoder", decoders, file.Decoder)
	t.model, errs[4] = build(l, "model", models, typedModel(file.Model))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if t.model == nil {
		return nil, errors.New("the model section is missing")
	}
	if t.decoder == nil {
		t.decoder = joinDecoder{}
	}
	t.spelled = spellsBytes(t.preTokenizer)
	t.added = newAddedVocabulary(file.AddedTokens, t.model, t.normalizer)
	t.size = len(t.model.vocab())
	for content := range t.added.ids {
		if _, ok := t.model.id(content); !ok {
			t.size++
		}
	}
	return t, nil
}

// typedModel adds the type that old files leave out: a model with merges is a BPE.
func typedModel(raw json.RawMessage) json.RawMessage {
	var head struct {
		Type   string
		Merges json.RawMessage
	}
	if json.Unmarshal(raw, &head) != nil || head.Type != "" || head.Merges == nil {
		return raw
	}
	return append(json.RawMessage(`{"type":"BPE",`), raw[1:]...)
}
