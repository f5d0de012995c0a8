package tokenizer

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// marshal writes the vocabulary as a tokenizer.json in the style of the Llama-3 and GPT-2 files: split by a regular expression,
// spelled by ByteLevel, without special tokens around a text.
func (v *trained) marshal(specials []string) ([]byte, error) {
	type obj = map[string]any
	added := []addedEntry{}
	for _, s := range specials {
		id := slices.Index(v.tokens, s)
		added = append(added, addedEntry{ID: id, Content: s, Special: true})
	}
	merges := make([][2]string, len(v.merges))
	for i, m := range v.merges {
		merges[i] = [2]string{v.tokens[m.left], v.tokens[m.right]}
	}
	byteLevel := func(useRegex bool) obj {
		return obj{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": useRegex}
	}
	split := obj{"type": "Split", "pattern": obj{"Regex": llama3Pattern}, "behavior": "Isolated", "invert": false}
	file := struct {
		Version       string          `json:"version"`
		Truncation    *struct{}       `json:"truncation"`
		Padding       *struct{}       `json:"padding"`
		AddedTokens   []addedEntry    `json:"added_tokens"`
		Normalizer    *struct{}       `json:"normalizer"`
		PreTokenizer  obj             `json:"pre_tokenizer"`
		PostProcessor obj             `json:"post_processor"`
		Decoder       obj             `json:"decoder"`
		Model         json.RawMessage `json:"model"`
	}{
		Version: "1.0", AddedTokens: added,
		PreTokenizer:  obj{"type": "Sequence", "pretokenizers": []obj{split, byteLevel(false)}},
		PostProcessor: byteLevel(true), Decoder: byteLevel(true),
	}
	var err error
	if file.Model, err = v.marshalModel(merges); err != nil {
		return nil, err
	}
	return marshalPlain(file)
}

// addedEntry is the JSON form of an added token in the Rust library's order of fields.
type addedEntry struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// marshalModel writes the model section, the vocabulary in the order of its ids.
func (v *trained) marshalModel(merges [][2]string) ([]byte, error) {
	vocab := bytes.NewBufferString("{")
	for id, token := range v.tokens {
		key, err := marshalPlain(token)
		if err != nil {
			return nil, err
		}
		if id > 0 {
			vocab.WriteByte(',')
		}
		vocab.Write(key)
		vocab.WriteByte(':')
		vocab.WriteString(strconv.Itoa(id))
	}
	vocab.WriteByte('}')
	return marshalPlain(struct {
		Type                    string          `json:"type"`
		Dropout                 *float64        `json:"dropout"`
		UnkToken                *string         `json:"unk_token"`
		ContinuingSubwordPrefix *string         `json:"continuing_subword_prefix"`
		EndOfWordSuffix         *string         `json:"end_of_word_suffix"`
		FuseUnk                 bool            `json:"fuse_unk"`
		ByteFallback            bool            `json:"byte_fallback"`
		IgnoreMerges            bool            `json:"ignore_merges"`
		Vocab                   json.RawMessage `json:"vocab"`
		Merges                  [][2]string     `json:"merges"`
	}{Type: "BPE", Vocab: vocab.Bytes(), Merges: merges})
}

// marshalPlain is json.Marshal without escapes for HTML.
func marshalPlain(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
