package tokenizer

import (
	"encoding/json"
	"unicode"
)

func init() { preTokenizers["Digits"] = newDigits }

// newDigits makes the pre-tokenizer that splits off numbers (\p{N}), as runs or digit by digit.
func newDigits(_ *loader, raw json.RawMessage) (preTokenizer, error) {
	var spec struct {
		IndividualDigits bool `json:"individual_digits"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	behavior := "Contiguous"
	if spec.IndividualDigits {
		behavior = "Isolated"
	}
	return patternSplit{find: findNumbers, arrange: behaviors[behavior]}, nil
}

func findNumbers(text string) ([]match, error) {
	var c cutter
	for i, r := range text {
		if unicode.IsNumber(r) {
			c.add(i, i+len(string(r)))
		}
	}
	return c.finish(len(text)), nil
}
