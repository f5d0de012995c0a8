package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

const (
	cacheWords  = 1 << 14 // words that one scratch remembers
	cacheLength = 256     // bytes of the longest word worth remembering
)

// bpeScratch is the working memory of one goroutine that tokenizes words.
type bpeScratch struct {
	cache   map[string][]token
	symbols []symbol
	queue   heap[candidate]
}

// symbol is a token of the word being merged, in a doubly linked list; -1 ends it.
type symbol struct {
	id, prev, next int32
	length         int // bytes of the word it stands for
}

// candidate is a pair that could be merged: the symbol at index at with its successor.
type candidate struct {
	merge
	at int32
}

func newBPEScratch() *bpeScratch {
	return &bpeScratch{
		cache: map[string][]token{},
		queue: heap[candidate]{less: func(a, b *candidate) bool {
			return a.rank < b.rank || a.rank == b.rank && a.at < b.at
		}},
	}
}

// tokenize implements model in O(n log n) for a word of n bytes, or by a lookup where the word is remembered.
func (m *bpe) tokenize(dst []token, word string, spelled bool) []token {
	s := m.scratch.Get().(*bpeScratch)
	defer m.scratch.Put(s)
	if known, ok := s.cache[word]; ok {
		return append(dst, known...)
	}
	n := len(dst)
	dst = m.tokenizeNew(dst, s, word, spelled)
	if len(word) <= cacheLength {
		if len(s.cache) >= cacheWords {
			clear(s.cache)
		}
		s.cache[word] = append([]token(nil), dst[n:]...)
	}
	return dst
}

func (m *bpe) tokenizeNew(dst []token, s *bpeScratch, word string, spelled bool) []token {
	if m.ignoreMerges {
		whole := word
		if spelled {
			whole = spell(word)
		}
		if id := m.lookup(whole); id != noToken {
			return append(dst, token{id, span{0, len(word)}})
		}
	}
	s.symbols = s.symbols[:0]
	if spelled && m.prefix == "" && m.suffix == "" {
		m.spellInto(s, word)
	} else {
		m.charsInto(s, word, spelled)
	}
	m.mergeAll(s)
	return s.appendTokens(dst)
}

// appendTokens appends the symbols that are left. Where characters were dropped, as unknown to a vocabulary without unk, the
// tokens after them move up; so do they in the Rust library.
func (s *bpeScratch) appendTokens(dst []token) []token {
	end := 0
	for i := int32(0); i >= 0 && int(i) < len(s.symbols); i = s.symbols[i].next {
		start := end
		end += s.symbols[i].length
		dst = append(dst, token{s.symbols[i].id, span{start, end}})
	}
	return dst
}

// spellInto sets the symbols to the bytes of word; the usual case of charsInto.
func (m *bpe) spellInto(s *bpeScratch, word string) {
	u := unknowns{m: m, s: s}
	for i := range len(word) {
		if id := m.bytes[word[i]]; id != noToken {
			u.known(id, 1)
		} else {
			u.unknown(byteSpelling[word[i]], 1)
		}
	}
	u.flush()
}

// charsInto sets the symbols to the characters of word, or of its byte-level spelling, each looked up with prefix and suffix.
func (m *bpe) charsInto(s *bpeScratch, word string, spelled bool) {
	u := unknowns{m: m, s: s}
	for i, n := 0, 0; i < len(word); i += n {
		char := ""
		if spelled {
			char, n = byteSpelling[word[i]], 1
		} else {
			_, n = utf8.DecodeRuneInString(word[i:])
			char = word[i : i+n]
		}
		if i > 0 {
			char = m.prefix + char
		}
		if i+n == len(word) {
			char += m.suffix
		}
		if id := m.lookup(char); id != noToken {
			u.known(id, n)
		} else {
			u.unknown(char, n)
		}
	}
	u.flush()
}

// unknowns adds symbols and decides what stands for characters outside of the vocabulary.
type unknowns struct {
	m       *bpe
	s       *bpeScratch
	pending int // bytes of unknown characters that wait for their unk symbol
}

func (u *unknowns) add(id int32, length int) {
	n := int32(len(u.s.symbols))
	u.s.symbols = append(u.s.symbols, symbol{id, n - 1, n + 1, length})
}

func (u *unknowns) known(id int32, length int) {
	u.flush()
	u.add(id, length)
}

// unknown takes a character. Byte tokens do not wait for unknown characters before them; the Rust library does not either.
func (u *unknowns) unknown(char string, length int) {
	if u.m.byteFallback && u.fallBack(char) || u.m.unk == noToken {
		return
	}
	if !u.m.fuseUnk {
		u.flush()
	}
	u.pending += length
}

// flush adds the unk symbol that is pending.
func (u *unknowns) flush() {
	if u.pending > 0 {
		u.add(u.m.unk, u.pending)
		u.pending = 0
	}
}

// fallBack adds one byte token for each byte of char if the vocabulary has them all.
func (u *unknowns) fallBack(char string) bool {
	ids := make([]int32, len(char))
	for i := range ids {
		if ids[i] = u.m.lookup(fmt.Sprintf("<0x%02X>", char[i])); ids[i] == noToken {
			return false
		}
	}
	for _, id := range ids {
		u.add(id, 1)
	}
	return true
}

// mergeAll merges the symbols, linked list and all, until no neighbours have a merge.
func (m *bpe) mergeAll(s *bpeScratch) {
	if len(s.symbols) == 0 {
		return
	}
	s.symbols[len(s.symbols)-1].next = -1
	s.queue.items = s.queue.items[:0]
	for i := range int32(len(s.symbols)) {
		m.propose(s, i)
	}
	for len(s.queue.items) > 0 {
		top := s.queue.pop()
		left := &s.symbols[top.at]
		if left.id == noToken || left.next < 0 {
			continue
		}
		right := &s.symbols[left.next]
		if now, ok := m.merges[pair{left.id, right.id}]; !ok || now.id != top.id {
			continue // the symbols have changed since
		}
		left.id, left.length, left.next = top.id, left.length+right.length, right.next
		right.id = noToken
		if left.next >= 0 {
			s.symbols[left.next].prev = top.at
		}
		m.propose(s, left.prev)
		m.propose(s, top.at)
	}
}

// propose queues the merge of the symbol at index i with its successor, if they have one.
func (m *bpe) propose(s *bpeScratch, i int32) {
	if i < 0 || s.symbols[i].next < 0 {
		return
	}
	if mg, ok := m.merges[pair{s.symbols[i].id, s.symbols[s.symbols[i].next].id}]; ok {
		s.queue.push(candidate{mg, i})
	}
}
