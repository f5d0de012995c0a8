package main

import (
	"errors"
	"io"
	"strings"

	"github.com/geotune/geotune/train/text/tokenizer"
)

// errStop ends a generation at a stop text.
var errStop = errors.New("stop text")

// printer turns tokens into text and writes it as soon as it is certain: a character may take several tokens, and a stop text is not
// shown.
type printer struct {
	tok   *tokenizer.Tokenizer
	stops []string
	w     io.Writer

	ids     []int32
	from    int             // ids[from:read] is the last text that was complete, the context of the next
	read    int             // ids before it are decoded
	pending string          // decoded, but perhaps the beginning of a stop text
	text    strings.Builder // written
}

// add takes a token.
func (p *printer) add(id int32) error {
	p.ids = append(p.ids, id)
	before, now := p.tok.Decode(p.ids[p.from:p.read], true), p.tok.Decode(p.ids[p.from:], true)
	if strings.HasSuffix(now, "\uFFFD") || len(now) <= len(before) { // in the middle of a character
		return nil
	}
	p.pending += now[len(before):]
	p.from, p.read = p.read, len(p.ids)
	for _, s := range p.stops {
		if head, _, found := strings.Cut(p.pending, s); found {
			p.pending = head
			return errStop
		}
	}
	return p.write(len(p.pending) - p.held())
}

// held returns the length of the longest end of pending that a stop text begins with.
func (p *printer) held() int {
	longest := 0
	for _, s := range p.stops {
		for n := min(len(s)-1, len(p.pending)); n > longest; n-- {
			if strings.HasSuffix(p.pending, s[:n]) {
				longest = n
			}
		}
	}
	return longest
}

func (p *printer) write(n int) error {
	part := p.pending[:n]
	p.pending = p.pending[n:]
	p.text.WriteString(part)
	_, err := io.WriteString(p.w, part)
	return err
}

// flush writes what is left.
func (p *printer) flush() error { return p.write(len(p.pending)) }
