package tokenizer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	tests := []struct {
		name, data string
		want       Config
	}{
		{"empty", `{}`, Config{}},
		{"strings", `{"bos_token":"<s>","eos_token":"</s>","pad_token":null,"unk_token":"<unk>","add_bos_token":true,"model_max_length":4096}`,
			Config{BOS: "<s>", EOS: "</s>", Unk: "<unk>", AddBOS: true, ModelMaxLength: 4096}},
		{"objects", `{"bos_token":{"__type":"AddedToken","content":"<s>","lstrip":false},"pad_token":{"content":"<pad>"}}`,
			Config{BOS: "<s>", Pad: "<pad>"}},
		{"no length limit", `{"model_max_length":1000000000000000019884624838656}`, Config{}},
		{"template", `{"chat_template":"{{ messages }}"}`, Config{ChatTemplate: "{{ messages }}"}},
		{"named templates", `{"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]}`, Config{ChatTemplate: "d"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseConfig([]byte(test.data))
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
	for _, bad := range []string{``, `[]`, `{"bos_token":7}`, `{"chat_template":[7]}`, `{"add_bos_token":"yes"}`} {
		if _, err := ParseConfig([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestLoadConfiguresFromTheFilesBesideIt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("tokenizer.json", file())
	if _, err := LoadConfig(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a config: error %v, want os.ErrNotExist", err)
	}
	write("tokenizer_config.json", `{"bos_token":"<s>","eos_token":"b","pad_token":"<absent>","chat_template":"old"}`)
	write("chat_template.jinja", "new")
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := tok.BOS(); !ok || id != 3 {
		t.Errorf("BOS %d, %v, want 3", id, ok)
	}
	if id, ok := tok.EOS(); !ok || id != 1 {
		t.Errorf("EOS %d, %v, want 1", id, ok)
	}
	if id, ok := tok.Pad(); ok {
		t.Errorf("Pad %d, want none: the vocabulary lacks it", id)
	}
	if got := tok.Config().ChatTemplate; got != "new" {
		t.Errorf("template %q, want the one of chat_template.jinja", got)
	}
	write("tokenizer_config.json", `{`)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "tokenizer_config.json") {
		t.Errorf("error %v does not name the broken config", err)
	}
}
