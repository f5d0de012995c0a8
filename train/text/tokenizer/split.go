package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

func init() { preTokenizers["Split"] = newSplit }

// match is a part of a text, matched by a pattern or lying between matches.
type match struct {
	span
	matched bool
}

// split yields the matches of the scanner in p, which cover it without gaps: Split with behavior Isolated.
func (s scanner) split(p piece, yield func(piece)) error {
	for i := 0; i < len(p.text); {
		j := s(p.text, i)
		yield(p.slice(i, j))
		i = j
	}
	return nil
}

// patternSplit is Split in general: find cuts the text into parts, arrange decides what becomes of them.
type patternSplit struct {
	find    func(text string) ([]match, error)
	arrange func([]match) []span
	invert  bool
}

func newSplit(_ *loader, raw json.RawMessage) (preTokenizer, error) {
	var spec struct {
		Pattern  patternSpec
		Behavior string
		Invert   bool
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, err
	}
	arrange, ok := behaviors[spec.Behavior]
	if !ok {
		return nil, fmt.Errorf("unknown behavior %q", spec.Behavior)
	}
	if spec.Pattern.Regex != nil && spec.Behavior == "Isolated" && !spec.Invert {
		if scan, ok := scanners[*spec.Pattern.Regex]; ok {
			return scan, nil
		}
	}
	find, err := spec.Pattern.compile()
	return patternSplit{find, arrange, spec.Invert}, err
}

func (s patternSplit) split(p piece, yield func(piece)) error {
	matches, err := s.find(p.text)
	if s.invert {
		for i := range matches {
			matches[i].matched = !matches[i].matched
		}
	}
	for _, part := range s.arrange(matches) {
		if part.start < part.end {
			yield(p.slice(part.start, part.end))
		}
	}
	return err
}

// behaviors are the ways in which Split deals with matches.
var behaviors = map[string]func([]match) []span{
	"Removed": func(ms []match) (out []span) {
		for _, m := range ms {
			if !m.matched {
				out = append(out, m.span)
			}
		}
		return out
	},
	"Isolated": func(ms []match) (out []span) {
		for _, m := range ms {
			out = append(out, m.span)
		}
		return out
	},
	"Contiguous": func(ms []match) []span {
		return joinIf(ms, func(a, b match) bool { return a.matched == b.matched })
	},
	"MergedWithPrevious": func(ms []match) []span {
		return joinIf(ms, func(a, b match) bool { return !a.matched && b.matched })
	},
	"MergedWithNext": func(ms []match) []span {
		return joinIf(ms, func(a, b match) bool { return a.matched && !b.matched })
	},
}

// joinIf joins neighbours a, b for which join holds.
func joinIf(ms []match, join func(a, b match) bool) []span {
	var out []span
	for i, m := range ms {
		if i > 0 && join(ms[i-1], m) {
			out[len(out)-1].end = m.end
		} else {
			out = append(out, m.span)
		}
	}
	return out
}

// patternSpec is the JSON form of a pattern: {"String": ...} or {"Regex": ...}.
type patternSpec struct{ String, Regex *string }

// compile returns a function that cuts a text at the matches of the pattern.
func (s patternSpec) compile() (func(string) ([]match, error), error) {
	switch {
	case s.String != nil && s.Regex == nil:
		return func(text string) ([]match, error) { return findString(text, *s.String), nil }, nil
	case s.Regex != nil && s.String == nil:
		re, err := compileRegex(*s.Regex)
		if err != nil {
			return nil, err
		}
		return func(text string) ([]match, error) { return findRegex(text, re) }, nil
	}
	return nil, errors.New(`pattern must be {"String": ...} or {"Regex": ...}`)
}

// cutter collects matches and the parts between them.
type cutter struct {
	parts []match
	end   int
}

func (c *cutter) add(start, end int) {
	if c.end < start {
		c.parts = append(c.parts, match{span{c.end, start}, false})
	}
	c.parts = append(c.parts, match{span{start, end}, true})
	c.end = end
}

func (c *cutter) finish(length int) []match {
	if c.end < length {
		c.parts = append(c.parts, match{span{c.end, length}, false})
	}
	return c.parts
}

func findString(text, pattern string) []match {
	var c cutter
	for pattern != "" {
		i := strings.Index(text[c.end:], pattern)
		if i < 0 {
			break
		}
		c.add(c.end+i, c.end+i+len(pattern))
	}
	return c.finish(len(text))
}

const (
	// regexTime bounds one search; patterns come from downloaded files and the engine backtracks.
	regexTime = 2 * time.Second
	// regexPace is the speed, in bytes a second, below which the searches of a text are given up; usual patterns are 30 times faster.
	regexPace = 100e3
)

// compileRegex compiles a pattern of the Oniguruma dialect that the Rust library uses, refusing what means something else here.
func compileRegex(pattern string) (*regexp2.Regexp, error) {
	for _, syntax := range []string{"&&", "[[:", "(?m", `\h`, `\R`, `\X`, `\w`, `\W`, `\b`, `\B`} {
		if strings.Contains(pattern, syntax) {
			return nil, fmt.Errorf("regex %q: %s is not supported", pattern, syntax)
		}
	}
	re, err := regexp2.Compile(pattern, regexp2.Multiline) // ^ and $ match at every line
	if err != nil {
		return nil, fmt.Errorf("regex %q: %w", pattern, err)
	}
	re.MatchTimeout = regexTime
	return re, nil
}

// findRegex cuts text at the matches of re. Where it takes too long, the rest stays one part and the error says so.
func findRegex(text string, re *regexp2.Regexp) ([]match, error) {
	var c cutter
	deadline := time.Now().Add(regexTime + time.Duration(float64(len(text))/regexPace*float64(time.Second)))
	char, at := 0, 0 // at is the byte offset of the character number char
	offset := func(to int) int {
		for ; char < to; char++ {
			_, n := utf8.DecodeRuneInString(text[at:])
			at += n
		}
		return at
	}
	m, err := re.FindStringMatch(text)
	for m != nil && err == nil {
		start := offset(m.Index)
		c.add(start, offset(m.Index+m.Length))
		if time.Now().After(deadline) {
			err = errors.New("out of time")
			break
		}
		m, err = re.FindNextMatch(m)
	}
	if err != nil {
		err = fmt.Errorf("split by regex %q: %w", re, err)
	}
	return c.finish(len(text)), err
}
