package tokenizer

import "encoding/json"

// postProcessor completes an encoding: it adds the special tokens that a model expects, if asked to, and adjusts offsets.
type postProcessor interface {
	process(e Encoding, addSpecial bool) Encoding
}

var postProcessors = registry[postProcessor]{}

func init() { postProcessors["Sequence"] = newPostProcessorSequence }

// postProcessorSequence applies its members in order.
type postProcessorSequence []postProcessor

func newPostProcessorSequence(l *loader, raw json.RawMessage) (postProcessor, error) {
	var spec struct{ Processors []json.RawMessage }
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	members, err := buildAll(l, "post_processor", postProcessors, spec.Processors)
	return postProcessorSequence(members), err
}

func (s postProcessorSequence) process(e Encoding, addSpecial bool) Encoding {
	for _, p := range s {
		e = p.process(e, addSpecial)
	}
	return e
}

// special is a token that a post-processor adds.
type special struct {
	id    int32
	piece string
}

// surround returns e between special tokens, which have empty offsets and mask 1.
func (e Encoding) surround(before, after []special) Encoding {
	out := newEncoding(len(before) + len(e.IDs) + len(after))
	add := func(specials []special) {
		for _, s := range specials {
			out.append(s.id, [2]int{}, s.piece, 1)
		}
	}
	add(before)
	out.IDs = append(out.IDs, e.IDs...)
	out.Offsets = append(out.Offsets, e.Offsets...)
	out.Pieces = append(out.Pieces, e.Pieces...)
	out.SpecialMask = append(out.SpecialMask, e.SpecialMask...)
	add(after)
	return out
}
