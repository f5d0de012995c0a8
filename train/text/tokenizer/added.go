package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens: a string that is found in texts before anything else happens to them.
type addedToken struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character is next to it
	LStrip     bool   `json:"lstrip"`      // takes in the white space before it
	RStrip     bool   `json:"rstrip"`      // takes in the white space after it
	Normalized bool   `json:"normalized"`  // looked for in the normalized text, else in the raw text
	Special    bool   `json:"special"`     // left out of decoded texts on demand
	id         int32
}

// addedVocabulary finds added tokens in texts.
type addedVocabulary struct {
	ids             map[string]int32
	tokens          map[int32]addedToken
	raw, normalized trie // of the tokens looked for before and after normalization
}

// newAddedVocabulary numbers the tokens as the Rust library does: the model's id where its vocabulary has the token, else the
// ids that follow the vocabulary in the order of the file. The ids in the file are not looked at.
func newAddedVocabulary(list []addedToken, m model, n normalizer) *addedVocabulary {
	v := &addedVocabulary{ids: map[string]int32{}, tokens: map[int32]addedToken{}}
	next := int32(len(m.vocab()))
	for _, t := range list {
		if _, known := v.ids[t.Content]; known || t.Content == "" {
			continue
		}
		var ok bool
		if t.id, ok = m.id(t.Content); !ok {
			t.id = next
		}
		next = max(next, t.id+1)
		v.ids[t.Content], v.tokens[t.id] = t.id, t
		if !t.Normalized {
			v.raw.add(t.Content, t.id)
			continue
		}
		content := piece{text: t.Content, token: noToken}
		if n != nil {
			content = n.normalize(content)
		}
		v.normalized.add(content.text, t.id)
	}
	return v
}

// split yields the added tokens of p, found by index, and the texts between them.
func (v *addedVocabulary) split(p piece, index *trie, yield func(piece)) {
	done := 0 // everything before has been yielded
	for from := 0; ; {
		start, end, id := index.find(p.text, from)
		if start < 0 {
			break
		}
		from = end
		t := v.tokens[id]
		if t.SingleWord && (endsInWord(p.text[:start]) || startsWithWord(p.text[end:])) {
			continue
		}
		if t.LStrip {
			start = max(done, len(strings.TrimRightFunc(p.text[:start], unicode.IsSpace)))
		}
		if t.RStrip {
			end = len(p.text) - len(strings.TrimLeftFunc(p.text[end:], unicode.IsSpace))
		}
		if done < start {
			yield(p.slice(done, start))
		}
		if start < end { // else another token has taken in this white space
			q := p.slice(start, end)
			q.token = id
			yield(q)
		}
		done = end
	}
	if done < len(p.text) {
		yield(p.slice(done, len(p.text)))
	}
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func startsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

// isWord is \w of Unicode's regular expressions (UTS #18, annex C).
func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.In(r, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Join_Control)
}

// trie finds strings in a text, the leftmost first, of those the longest.
type trie struct {
	first [256]bool // bytes that a string starts with
	next  map[trieEdge]int32
	final map[int32]int32 // id by the node where a string ends
}

// trieEdge leads from a node, by a byte; the root is node 0.
type trieEdge struct {
	node int32
	char byte
}

// add enters a string; of equal strings the first counts.
func (t *trie) add(s string, id int32) {
	if s == "" {
		return
	}
	if t.next == nil {
		t.next, t.final = map[trieEdge]int32{}, map[int32]int32{}
	}
	t.first[s[0]] = true
	node := int32(0)
	for i := range len(s) {
		edge := trieEdge{node, s[i]}
		child, ok := t.next[edge]
		if !ok {
			child = int32(len(t.next) + 1)
			t.next[edge] = child
		}
		node = child
	}
	if _, ok := t.final[node]; !ok {
		t.final[node] = id
	}
}

// find returns the first match in text[from:] and its id; start is -1 if there is none.
func (t *trie) find(text string, from int) (start, end int, id int32) {
	if t.next == nil {
		return -1, 0, 0
	}
	for i := from; i < len(text); i++ {
		if !t.first[text[i]] {
			continue
		}
		if end, id := t.longest(text, i); end > 0 {
			return i, end, id
		}
	}
	return -1, 0, 0
}

// longest returns the end of the longest string at text[i]; 0 if there is none.
func (t *trie) longest(text string, i int) (end int, id int32) {
	node := int32(0)
	for ; i < len(text); i++ {
		child, ok := t.next[trieEdge{node, text[i]}]
		if !ok {
			break
		}
		node = child
		if found, ok := t.final[node]; ok {
			end, id = i+1, found
		}
	}
	return end, id
}
