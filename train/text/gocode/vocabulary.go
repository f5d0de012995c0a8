package gocode

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/train/text/tokenizer"
)

// EndOfText is the token that ends every example.
const EndOfText = "<|endoftext|>"

// WriteVocabulary trains a byte-level BPE vocabulary of size tokens on files and writes tokenizer.json and tokenizer_config.json
// into dir.
func WriteVocabulary(files []File, dir string, size int) error {
	texts := func(yield func(string) bool) {
		for _, f := range files {
			if !yield(f.Text) {
				return
			}
		}
	}
	vocabulary, err := tokenizer.TrainBPE(texts, tokenizer.TrainOptions{VocabSize: size, Specials: []string{EndOfText}})
	if err != nil {
		return fmt.Errorf("gocode: vocabulary: %w", err)
	}
	config, err := json.MarshalIndent(map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": EndOfText, "pad_token": EndOfText,
		"clean_up_tokenization_spaces": false,
	}, "", "  ")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"tokenizer.json": vocabulary, "tokenizer_config.json": append(config, '\n')} {
		if err := atomicfile.WriteBytes(filepath.Join(dir, name), data); err != nil {
			return fmt.Errorf("gocode: vocabulary: %w", err)
		}
	}
	return nil
}
