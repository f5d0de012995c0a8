package tokenizer

import "encoding/json"

func init() {
	preTokenizers["ByteLevel"] = newByteLevel
	postProcessors["ByteLevel"] = newByteLevelOffsets
	decoders["ByteLevel"] = newByteLevelDecoder
}

// byteLevelSpec is the JSON form shared by the pre-tokenizer, post-processor and decoder of type ByteLevel.
type byteLevelSpec struct {
	AddPrefixSpace bool  `json:"add_prefix_space"`
	TrimOffsets    bool  `json:"trim_offsets"`
	UseRegex       *bool `json:"use_regex"` // absent in old files, which all use it
}

// byteLevel is GPT-2's pre-tokenizer: an optional space in front, an optional split, and words spelled byte by byte. It leaves
// the spelling to the model, which works on raw bytes.
type byteLevel struct{ addPrefixSpace, useRegex bool }

func newByteLevel(_ *loader, raw json.RawMessage) (preTokenizer, error) {
	var spec byteLevelSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	return byteLevel{spec.AddPrefixSpace, spec.UseRegex == nil || *spec.UseRegex}, nil
}

func (b byteLevel) split(p piece, yield func(piece)) error {
	if b.addPrefixSpace && p.text[0] != ' ' {
		p = p.prepend(" ")
	}
	if b.useRegex {
		return scanner(scanGPT2).split(p, yield)
	}
	yield(p)
	return nil
}

// prepend returns the piece with s in front; s shares the alignment of the first character.
func (p piece) prepend(s string) piece {
	old := p.aligned()
	align := make([]span, 0, len(s)+len(old))
	for range len(s) {
		align = append(align, old[0])
	}
	return piece{text: s + p.text, base: p.base, align: append(align, old...), token: p.token}
}

// byteLevelOffsets is the post-processor: it takes white space at both ends out of the offsets.
type byteLevelOffsets struct{ addPrefixSpace, trim bool }

func newByteLevelOffsets(_ *loader, raw json.RawMessage) (postProcessor, error) {
	var spec byteLevelSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	return byteLevelOffsets{spec.AddPrefixSpace, spec.TrimOffsets}, nil
}

func (b byteLevelOffsets) process(e Encoding, _ bool) Encoding {
	if b.trim {
		trimOffsets(e, b.addPrefixSpace)
	}
	return e
}

// trimOffsets narrows the offsets of every piece by its leading and trailing white space. A single leading space of the first
// piece stays where the pre-tokenizer may have added it, as it takes no room in the text then.
func trimOffsets(e Encoding, addPrefixSpace bool) {
	for i, token := range e.Pieces {
		leading, trailing := spacesAround(token)
		off := &e.Offsets[i]
		if leading > 0 {
			if addPrefixSpace && leading == 1 && (i == 0 || off[0] == 0) {
				leading = 0
			}
			off[0] = min(off[0]+leading, off[1])
		}
		if trailing > 0 && off[1] >= trailing {
			off[1] = max(off[1]-trailing, off[0])
		}
	}
}

// spacesAround counts the white space characters at the ends of a token, spelled or plain.
func spacesAround(token string) (leading, trailing int) {
	var inside bool
	for _, r := range token {
		if !isSpelledSpace(r) {
			inside, trailing = true, 0
			continue
		}
		trailing++
		if !inside {
			leading++
		}
	}
	return leading, trailing
}

// byteLevelDecoder joins the bytes that tokens spell.
type byteLevelDecoder struct{}

func newByteLevelDecoder(*loader, json.RawMessage) (decoder, error) { return byteLevelDecoder{}, nil }

func (byteLevelDecoder) appendToken(dst []byte, token string, _ bool) []byte {
	return appendUnspelled(dst, token)
}
