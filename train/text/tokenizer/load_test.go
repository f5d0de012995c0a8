package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file returns a small tokenizer.json with some of its sections replaced.
func file(sections ...string) string {
	parts := map[string]string{
		"added_tokens":   `[{"content":"<s>","special":true}]`,
		"normalizer":     `null`,
		"pre_tokenizer":  `{"type":"ByteLevel","add_prefix_space":false}`,
		"post_processor": `null`,
		"decoder":        `{"type":"ByteLevel"}`,
		"model":          `{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`,
	}
	for i := 0; i < len(sections); i += 2 {
		parts[sections[i]] = sections[i+1]
	}
	var fields []string
	for name, content := range parts {
		fields = append(fields, `"`+name+`":`+content)
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func TestMalformedFilesAreRefusedByName(t *testing.T) {
	deep := strings.Repeat(`{"type":"Sequence","normalizers":[`, 2000) + `{"type":"NFC"}` + strings.Repeat(`]}`, 2000)
	tests := []struct{ name, data, want string }{
		{"empty", ``, "unexpected end"},
		{"null", `null`, "model section is missing"},
		{"object", `{}`, "model section is missing"},
		{"array", `[]`, "cannot unmarshal"},
		{"truncated", file()[:40], "unexpected end"},
		{"not UTF-8", "{\"a\xff\":1}", "not valid UTF-8"},
		{"model null", file("model", `null`), "model section is missing"},
		{"model a string", file("model", `"BPE"`), "model"},
		{"unknown model", file("model", `{"type":"Unigram","vocab":[]}`), `model "Unigram" is not supported; supported: BPE`},
		{"no merges", file("model", `{"type":"BPE","vocab":{}}`), "vocab or merges missing"},
		{"string id", file("model", `{"type":"BPE","vocab":{"a":"0"},"merges":[]}`), "cannot unmarshal"},
		{"negative id", file("model", `{"type":"BPE","vocab":{"a":-1},"merges":[]}`), "out of range"},
		{"huge id", file("model", `{"type":"BPE","vocab":{"a":2000000000},"merges":[]}`), "out of range"},
		{"id beyond 32 bits", file("model", `{"type":"BPE","vocab":{"a":99999999999},"merges":[]}`), "cannot unmarshal"},
		{"same id twice", file("model", `{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}`), "same id 0"},
		{"merge of three", file("model", `{"type":"BPE","vocab":{"a":0},"merges":["a a a"]}`), "3 parts"},
		{"merge of one", file("model", `{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}`), "1 parts"},
		{"merge a number", file("model", `{"type":"BPE","vocab":{"a":0},"merges":[7]}`), "cannot unmarshal"},
		{"merge outside of the vocabulary", file("model", `{"type":"BPE","vocab":{"a":0},"merges":["a a"]}`), "merge 0"},
		{"dropout", file("model", `{"type":"BPE","vocab":{},"merges":[],"dropout":0.1}`), "dropout"},
		{"unk outside of the vocabulary", file("model", `{"type":"BPE","vocab":{},"merges":[],"unk_token":"?"}`), "unk_token"},
		{"unknown normalizer", file("normalizer", `{"type":"Nmt"}`), `normalizer "Nmt" is not supported; supported: NFC, Sequence`},
		{"null in a sequence", file("normalizer", `{"type":"Sequence","normalizers":[null]}`), "null in a sequence"},
		{"deep nesting", file("normalizer", deep), "nested deeper"},
		{"unknown pre-tokenizer", file("pre_tokenizer", `{"type":"Metaspace"}`), `pre_tokenizer "Metaspace" is not supported`},
		{"ByteLevel not last", file("pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"ByteLevel"}]}`), "only as the last"},
		{"bad regex", file("pre_tokenizer", `{"type":"Split","behavior":"Isolated","pattern":{"Regex":"("}}`), "regex"},
		{"regex of another dialect", file("pre_tokenizer", `{"type":"Split","behavior":"Isolated","pattern":{"Regex":"[a&&b]"}}`), "&& is not supported"},
		{"no pattern", file("pre_tokenizer", `{"type":"Split","behavior":"Isolated"}`), "pattern must be"},
		{"unknown behavior", file("pre_tokenizer", `{"type":"Split","behavior":"Eat","pattern":{"String":"a"}}`), `unknown behavior "Eat"`},
		{"unknown decoder", file("decoder", `{"type":"WordPiece"}`), `decoder "WordPiece" is not supported`},
		{"unknown post-processor", file("post_processor", `{"type":"BertProcessing"}`), `post_processor "BertProcessing" is not supported`},
		{"template without text", file("post_processor", `{"type":"TemplateProcessing","single":[]}`), "0 times"},
		{"template with an unknown token", file("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}]}`), `"x" has 0 ids`},
		{"template part", file("post_processor", `{"type":"TemplateProcessing","single":[{}]}`), "neither"},
		{"roberta without cls", file("post_processor", `{"type":"RobertaProcessing","cls":["a"],"sep":["b",1]}`), "expected [token, id]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New([]byte(test.data))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, expected one that says %q", err, test.want)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokenizer.json")
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("empty directory: error %v does not name %s", err, path)
	}
	if err := os.WriteFile(path, []byte(file("normalizer", `{"type":"Nmt"}`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("unsupported component: error %v does not name %s", err, path)
	}
}

func TestOldModelSectionWithoutTypeIsBPE(t *testing.T) {
	tok, err := New([]byte(file("model", `{"vocab":{"a":0,"b":1,"ab":2},"merges":["#version: 0.2","a b"]}`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("ab", false).Pieces; len(got) != 1 || got[0] != "ab" {
		t.Errorf("pieces %q, want [ab]", got)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(file()))
	f.Add([]byte(file("normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"}]}`)))
	f.Add([]byte(file("pre_tokenizer", `{"type":"Split","behavior":"MergedWithNext","pattern":{"Regex":"\\s+(?!\\S)"}}`)))
	f.Add([]byte(file("pre_tokenizer", `{"type":"Split","behavior":"Removed","invert":true,"pattern":{"String":"a"}}`)))
	f.Add([]byte(file("post_processor", `{"type":"RobertaProcessing","cls":["a",0],"sep":["b",1],"trim_offsets":true}`)))
	f.Add([]byte(file("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a"}},{"Sequence":{"id":"A"}}],"special_tokens":{"a":{"id":"a","ids":[0],"tokens":["a"]}}}`)))
	f.Add([]byte(file("added_tokens", `[{"content":" ","lstrip":true,"rstrip":true},{"content":"\n","normalized":true,"single_word":true}]`, "decoder", "null")))
	f.Add([]byte(file("model", `{"vocab":{"a":0,"<0x62>":1,"?":2},"merges":[],"unk_token":"?","byte_fallback":true,"fuse_unk":true}`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := New(data)
		if err != nil {
			return
		}
		e, _ := tok.TryEncode("ab <s>  a\n\nb\u0301 e\u0301 \xff", true)
		tok.Decode(e.IDs, false)
		for i := range e.IDs {
			if e.Offsets[i][0] > e.Offsets[i][1] {
				t.Fatalf("offsets %v", e.Offsets[i])
			}
		}
	})
}
