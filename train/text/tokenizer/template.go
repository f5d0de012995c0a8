package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
)

func init() { postProcessors["TemplateProcessing"] = newTemplate }

// template puts fixed special tokens before and after a single sequence.
type template struct{ before, after []special }

// templateToken is the JSON form of one special token of a template, which may stand for several ids.
type templateToken struct {
	IDs    []int32
	Tokens []string
}

func newTemplate(_ *loader, raw json.RawMessage) (postProcessor, error) {
	var spec struct {
		Single []struct {
			SpecialToken, Sequence *struct{ ID string }
		}
		SpecialTokens map[string]templateToken `json:"special_tokens"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	var t template
	sequences := 0
	for _, part := range spec.Single {
		switch {
		case part.Sequence != nil && part.SpecialToken == nil && part.Sequence.ID == "A":
			sequences++
		case part.SpecialToken != nil && part.Sequence == nil:
			specials, err := spec.SpecialTokens[part.SpecialToken.ID].specials(part.SpecialToken.ID)
			if err != nil {
				return nil, err
			}
			if sequences == 0 {
				t.before = append(t.before, specials...)
			} else {
				t.after = append(t.after, specials...)
			}
		default:
			return nil, errors.New("a part of single is neither SpecialToken nor Sequence A")
		}
	}
	if sequences != 1 {
		return nil, fmt.Errorf("single holds the sequence %d times, expected once", sequences)
	}
	return t, nil
}

func (t templateToken) specials(name string) ([]special, error) {
	if len(t.IDs) == 0 || len(t.IDs) != len(t.Tokens) {
		return nil, fmt.Errorf("special token %q has %d ids and %d tokens", name, len(t.IDs), len(t.Tokens))
	}
	var out []special
	for i, id := range t.IDs {
		if id < 0 {
			return nil, fmt.Errorf("special token %q has the id %d", name, id)
		}
		out = append(out, special{id, t.Tokens[i]})
	}
	return out, nil
}

func (t template) process(e Encoding, addSpecial bool) Encoding {
	if !addSpecial {
		return e
	}
	return e.surround(t.before, t.after)
}
