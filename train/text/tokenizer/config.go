package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Config is what tokenizer_config.json says beyond tokenizer.json. Tokens are given by content, "" where the file has none.
type Config struct {
	BOS, EOS, Pad, Unk string
	AddBOS             bool   // add_bos_token, false where absent; tokenizer.json alone decides what Encode adds
	ChatTemplate       string // Jinja source; of several templates the one named "default"
	ModelMaxLength     int    // longest input in tokens, 0 where absent or not a limit
}

// LoadConfig reads tokenizer_config.json of a directory, and chat_template.jinja where newer models keep their template. The
// error is os.ErrNotExist if there is no tokenizer_config.json.
func LoadConfig(dir string) (Config, error) {
	path := filepath.Join(dir, "tokenizer_config.json")
	data, err := readLimited(path)
	if err != nil {
		return Config{}, fmt.Errorf("tokenizer: %w", err)
	}
	c, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	template, err := readLimited(filepath.Join(dir, "chat_template.jinja"))
	switch {
	case err == nil:
		c.ChatTemplate = string(template)
	case !errors.Is(err, os.ErrNotExist):
		return Config{}, fmt.Errorf("tokenizer: %w", err)
	}
	return c, nil
}

// readLimited reads a file of at most maxFile bytes.
func readLimited(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d", path, st.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// ParseConfig reads the content of a tokenizer_config.json.
func ParseConfig(data []byte) (Config, error) {
	var file struct {
		BOS            configToken  `json:"bos_token"`
		EOS            configToken  `json:"eos_token"`
		Pad            configToken  `json:"pad_token"`
		Unk            configToken  `json:"unk_token"`
		AddBOS         bool         `json:"add_bos_token"`
		ChatTemplate   chatTemplate `json:"chat_template"`
		ModelMaxLength float64      `json:"model_max_length"` // the Python library writes 1e30 for "no limit"
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return Config{}, err
	}
	c := Config{
		BOS: string(file.BOS), EOS: string(file.EOS), Pad: string(file.Pad), Unk: string(file.Unk),
		AddBOS: file.AddBOS, ChatTemplate: string(file.ChatTemplate),
	}
	if n := file.ModelMaxLength; n >= 1 && n < math.MaxInt32 {
		c.ModelMaxLength = int(n)
	}
	return c, nil
}

// configToken is a token in either JSON form: its content, or an object that holds it.
type configToken string

func (t *configToken) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*string)(t))
	}
	var object struct{ Content string }
	err := json.Unmarshal(data, &object)
	*t = configToken(object.Content)
	return err
}

// chatTemplate is a template in either JSON form: its source, or a list of named ones.
type chatTemplate string

func (c *chatTemplate) UnmarshalJSON(data []byte) error {
	if data[0] != '[' {
		return json.Unmarshal(data, (*string)(c))
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, t := range list {
		if t.Name == "default" {
			*c = chatTemplate(t.Template)
		}
	}
	return nil
}

// Configure sets what [Tokenizer.BOS], [Tokenizer.EOS] and [Tokenizer.Pad] return. [Load] does it where it finds a config.
func (t *Tokenizer) Configure(c Config) { t.config = c }

// Config returns the configuration, the zero Config where there is none.
func (t *Tokenizer) Config() Config { return t.config }

// BOS returns the id of the token that begins a text; ok is false where the configuration names none that exists.
func (t *Tokenizer) BOS() (id int32, ok bool) { return t.configured(t.config.BOS) }

// EOS returns the id of the token that ends a text.
func (t *Tokenizer) EOS() (id int32, ok bool) { return t.configured(t.config.EOS) }

// Pad returns the id of the token that fills up batches.
func (t *Tokenizer) Pad() (id int32, ok bool) { return t.configured(t.config.Pad) }

func (t *Tokenizer) configured(token string) (int32, bool) {
	if token == "" {
		return 0, false
	}
	return t.TokenID(token)
}
