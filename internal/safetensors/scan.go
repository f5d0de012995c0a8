package safetensors

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON strictly, without building values: encoding/json would accept duplicate keys, mend invalid UTF-8 silently, and allocate many times
// the size of a hostile text.
type scanner struct {
	text []byte
	pos  int
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w", s.pos, fmt.Errorf(format, args...))
}

// unexpected reports what stands at the position instead of want.
func (s *scanner) unexpected(want string) error {
	if s.pos >= len(s.text) {
		return s.errorf("expected %s, found the end of the text", want)
	}
	return s.errorf("expected %s, found %q", want, s.text[s.pos:min(s.pos+8, len(s.text))])
}

// next skips white space and returns the byte at the position, 0 at the end.
func (s *scanner) next() byte {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// accept skips white space and, when c follows, c as well.
func (s *scanner) accept(c byte) bool {
	if s.next() != c {
		return false
	}
	s.pos++
	return true
}

// end checks that only white space is left.
func (s *scanner) end() error {
	if s.next(); s.pos < len(s.text) {
		return s.unexpected("the end of the text")
	}
	return nil
}

// object reads an object and calls member before each value, which member must read.
func (s *scanner) object(member func(key string) error) error {
	return s.sequence('{', '}', "an object", func() error {
		key, err := s.string()
		if err != nil {
			return err
		}
		if !s.accept(':') {
			return s.unexpected(`":"`)
		}
		return member(key)
	})
}

// array reads an array and calls element before each element, which element must read.
func (s *scanner) array(element func() error) error { return s.sequence('[', ']', "an array", element) }

func (s *scanner) sequence(begin, end byte, kind string, item func() error) error {
	if !s.accept(begin) {
		return s.unexpected(kind)
	}
	if s.accept(end) {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if s.accept(end) {
			return nil
		}
		if !s.accept(',') {
			return s.unexpected(fmt.Sprintf(`"," or %q`, string(end)))
		}
	}
}

// natural reads a non-negative integer that fits an int64, written in digits only.
func (s *scanner) natural() (int64, error) {
	s.next()
	n := s.pos
	for n < len(s.text) && s.text[n] >= '0' && s.text[n] <= '9' {
		n++
	}
	digits := s.text[s.pos:n]
	if len(digits) == 0 || (len(digits) > 1 && digits[0] == '0') || (n < len(s.text) && bytes.IndexByte([]byte(".eE"), s.text[n]) >= 0) {
		return 0, s.unexpected("a natural number")
	}
	if len(digits) > 19 {
		return 0, s.errorf("number of %d digits overflows 63 bits", len(digits))
	}
	v, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return 0, s.errorf("number %s overflows 63 bits", digits)
	}
	s.pos = n
	return v, nil
}

// words holds the strings that every tensor's description repeats, so that reading one allocates nothing.
var words = func() map[string]string {
	m := map[string]string{"dtype": "dtype", "shape": "shape", "data_offsets": "data_offsets"}
	for _, d := range dtypes {
		m[string(d.name)] = string(d.name)
	}
	return m
}()

// string reads a string of valid UTF-8.
func (s *scanner) string() (string, error) {
	if s.next() != '"' {
		return "", s.unexpected("a string")
	}
	begin, escaped := s.pos+1, false
	for i := begin; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			raw := s.text[begin:i]
			if !utf8.Valid(raw) {
				return "", s.errorf("string is not valid UTF-8")
			}
			if escaped {
				out, err := unescape(raw)
				if err != nil {
					return "", s.errorf("%w", err)
				}
				s.pos = i + 1
				return out, nil
			}
			s.pos = i + 1
			if w, ok := words[string(raw)]; ok {
				return w, nil
			}
			return string(raw), nil
		case c == '\\':
			escaped = true
			i++
		case c < 0x20:
			return "", s.errorf("string holds the control character %#02x", c)
		}
	}
	return "", s.errorf("string does not end")
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape resolves JSON's backslash sequences. Half of a surrogate pair is an error: it has no UTF-8 form.
func unescape(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++ // string never ends on a lone backslash: it would have escaped the closing quote
		if c, ok := escapes[raw[i]]; ok {
			out = append(out, c)
			continue
		}
		r, ok := hex4(raw[i:])
		if !ok {
			return "", fmt.Errorf("unknown escape \\%c", raw[i])
		}
		i += 4
		if utf16.IsSurrogate(r) {
			if i+1 >= len(raw) || raw[i+1] != '\\' {
				return "", errors.New("escape is half of a surrogate pair")
			}
			low, ok := hex4(raw[i+2:])
			if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
				return "", errors.New("escape is half of a surrogate pair")
			}
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}

// hex4 reads "uXXXX".
func hex4(b []byte) (rune, bool) {
	if len(b) < 5 || b[0] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[1:5]), 16, 16)
	return rune(v), err == nil
}

// skip reads a value of any kind without keeping it, refusing deep nesting.
func (s *scanner) skip(depth int) error {
	if depth == 0 {
		return s.errorf("values are nested too deeply")
	}
	switch s.next() {
	case '{':
		return s.object(func(string) error { return s.skip(depth - 1) })
	case '[':
		return s.array(func() error { return s.skip(depth - 1) })
	case '"':
		_, err := s.string()
		return err
	}
	begin := s.pos
	for s.pos < len(s.text) && bytes.IndexByte([]byte(",]} \t\r\n"), s.text[s.pos]) < 0 {
		s.pos++
	}
	switch word := string(s.text[begin:s.pos]); word {
	case "true", "false", "null":
		return nil
	default:
		if _, err := strconv.ParseFloat(word, 64); err != nil {
			s.pos = begin
			return s.unexpected("a value")
		}
		return nil
	}
}
