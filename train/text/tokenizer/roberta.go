package tokenizer

import (
	"encoding/json"
	"fmt"
)

func init() { postProcessors["RobertaProcessing"] = newRoberta }

// roberta trims offsets as ByteLevel does and puts a text between cls and sep.
type roberta struct {
	cls, sep special
	offsets  byteLevelOffsets
}

func newRoberta(_ *loader, raw json.RawMessage) (postProcessor, error) {
	var spec struct {
		Cls, Sep specialPair
		byteLevelSpec
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	offsets := byteLevelOffsets{spec.AddPrefixSpace, spec.TrimOffsets}
	return roberta{special(spec.Cls), special(spec.Sep), offsets}, nil
}

// specialPair is the JSON form ["token", id].
type specialPair special

func (s *specialPair) UnmarshalJSON(data []byte) error {
	parts := []any{&s.piece, &s.id}
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	if len(parts) != 2 || s.id < 0 {
		return fmt.Errorf("special token %s, expected [token, id]", data)
	}
	return nil
}

func (r roberta) process(e Encoding, addSpecial bool) Encoding {
	e = r.offsets.process(e, addSpecial)
	if !addSpecial {
		return e
	}
	return e.surround([]special{r.cls}, []special{r.sep})
}
