package tokenizer

// decoder gives the text of tokens, one after the other, as bytes that make up UTF-8 only together.
type decoder interface {
	// appendToken appends the bytes of a token; first tells whether it is the first of a text.
	appendToken(dst []byte, token string, first bool) []byte
}

var decoders = registry[decoder]{}

// joinDecoder puts spaces between tokens. It serves files that name no decoder.
type joinDecoder struct{}

func (joinDecoder) appendToken(dst []byte, token string, first bool) []byte {
	if !first {
		dst = append(dst, ' ')
	}
	return append(dst, token...)
}

// Stream decodes ids one at a time, for text that is shown while it is generated. What its calls return, joined, is what
// [Tokenizer.Decode] returns for all ids with special tokens skipped.
type Stream struct {
	t       *Tokenizer
	pending []byte // the start of a character that is not complete
	started bool
}

// NewStream returns a Stream at the start of a text.
func (t *Tokenizer) NewStream() *Stream { return &Stream{t: t} }

// Push takes the next id and returns the text that it completes: whole characters only, often none.
func (s *Stream) Push(id int32) string {
	token, ok := s.t.visible(id, true)
	if !ok {
		return ""
	}
	s.pending = s.t.decoder.appendToken(s.pending, token, !s.started)
	s.started = true
	n := len(s.pending) - incompleteTail(s.pending)
	text := validUTF8(string(s.pending[:n]))
	s.pending = append(s.pending[:0], s.pending[n:]...)
	return text
}

// Flush returns what is left at the end of a text: U+FFFD where the last character is not complete, else nothing. The Stream
// is at the start of a text again.
func (s *Stream) Flush() string {
	text := validUTF8(string(s.pending))
	s.pending, s.started = s.pending[:0], false
	return text
}
