package tokenizer

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// TrainOptions says how [TrainBPE] makes a vocabulary.
type TrainOptions struct {
	VocabSize    int      // tokens at most, the special tokens and the 256 bytes included
	MinFrequency int      // occurrences that a pair needs to be merged; values below 1 count as 1
	Specials     []string // special tokens; they get the first ids
}

// TrainBPE trains a byte-level BPE vocabulary and returns its tokenizer.json. Texts are split as Llama-3 splits them. The result
// depends on the options and on how often each word occurs, not on the order of the texts, and equals that of the Rust
// library's BpeTrainer with its byte-level initial alphabet.
func TrainBPE(texts iter.Seq[string], opt TrainOptions) ([]byte, error) {
	counts := map[string]int{}
	scan := scanners[llama3Pattern]
	for text := range texts {
		text = validUTF8(text)
		for i := 0; i < len(text); {
			j := scan(text, i)
			counts[text[i:j]]++
			i = j
		}
	}
	v, err := trainBPE(counts, opt)
	if err != nil {
		return nil, err
	}
	return v.marshal(opt.Specials)
}

// trained is a vocabulary by id and its merges by rank.
type trained struct {
	tokens []string
	merges []pair
}

// trainBPE merges the most frequent pair of neighbours, of equals the one of lower ids, until the vocabulary is full or no pair
// is frequent enough.
func trainBPE(counts map[string]int, opt TrainOptions) (*trained, error) {
	t := &trainer{
		ids:    map[string]int32{},
		counts: map[pair]int{},
		queue: heap[trainPair]{less: func(a, b *trainPair) bool {
			return a.count > b.count || a.count == b.count && a.before(b)
		}},
		fresh: map[pair][]int32{},
	}
	if err := t.alphabet(opt); err != nil {
		return nil, err
	}
	t.addWords(counts)
	for len(t.tokens) < opt.VocabSize && len(t.queue.items) > 0 {
		top := t.queue.pop()
		if now := t.counts[top.pair]; now != top.count { // its occurrences were merged away with neighbours
			top.count = now
			t.queue.push(top)
			continue
		}
		if top.count < max(1, opt.MinFrequency) {
			break
		}
		t.merge(top)
	}
	t.merges = lastOfEquals(t.merges)
	return &t.trained, nil
}

// lastOfEquals leaves the last of equal merges: a pair is merged again where two ways lead to one of its tokens.
func lastOfEquals(merges []pair) []pair {
	last := map[pair]int{}
	for rank, p := range merges {
		last[p] = rank
	}
	var out []pair
	for rank, p := range merges {
		if last[p] == rank {
			out = append(out, p)
		}
	}
	return out
}

// trainer is the state of trainBPE.
type trainer struct {
	trained
	ids    map[string]int32
	words  []trainWord
	counts map[pair]int // occurrences of each pair now
	queue  heap[trainPair]
	fresh  map[pair][]int32 // pairs that the merge at hand makes, and the words they are in
}

// trainWord is a distinct word of the texts.
type trainWord struct {
	ids   []int32
	count int
}

// trainPair is a pair that waits to be merged. Its count may be out of date, and words may have lost the pair.
type trainPair struct {
	pair
	count int
	words []int32
}

// before orders pairs of equal counts; a pair can wait twice, for different words.
func (p *trainPair) before(q *trainPair) bool {
	if p.pair == q.pair {
		return slices.Compare(p.words, q.words) < 0
	}
	return p.left < q.left || p.left == q.left && p.right < q.right
}

// alphabet gives ids to the special tokens and then to the spellings of the bytes in the order of their characters.
func (t *trainer) alphabet(opt TrainOptions) error {
	for _, s := range opt.Specials {
		if s == "" {
			return errors.New("tokenizer: train: a special token is empty")
		}
		t.add(s)
	}
	for _, s := range slices.Sorted(slices.Values(byteSpelling[:])) {
		t.add(s)
	}
	if opt.VocabSize < len(t.tokens) {
		return fmt.Errorf("tokenizer: train: vocabulary of %d tokens, expected at least %d for the special tokens and bytes",
			opt.VocabSize, len(t.tokens))
	}
	return nil
}

// add returns the id of a token, giving it one if it is new.
func (t *trainer) add(token string) int32 {
	id, ok := t.ids[token]
	if !ok {
		id = int32(len(t.tokens))
		t.ids[token] = id
		t.tokens = append(t.tokens, token)
	}
	return id
}

// addWords counts the pairs of all words and queues them.
func (t *trainer) addWords(counts map[string]int) {
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		w := trainWord{ids: make([]int32, len(word)), count: counts[word]}
		for i := range len(word) {
			w.ids[i] = t.ids[byteSpelling[word[i]]]
		}
		t.words = append(t.words, w)
	}
	for i, w := range t.words {
		for j := range len(w.ids) - 1 {
			t.gain(pair{w.ids[j], w.ids[j+1]}, int32(i))
		}
	}
	t.enqueue()
}

// gain counts one more occurrence of p in each text of the word.
func (t *trainer) gain(p pair, word int32) {
	t.counts[p] += t.words[word].count
	in := t.fresh[p]
	if len(in) == 0 || in[len(in)-1] != word {
		t.fresh[p] = append(in, word)
	}
}

// enqueue queues the fresh pairs.
func (t *trainer) enqueue() {
	first := len(t.queue.items) == 0
	for p, words := range t.fresh {
		n := t.counts[p]
		switch {
		case n <= 0:
		case first:
			t.queue.items = append(t.queue.items, trainPair{p, n, words})
		default:
			t.queue.push(trainPair{p, n, words})
		}
	}
	if first {
		t.queue.init()
	}
	clear(t.fresh)
}

// merge makes the pair a token and replaces it in its words.
func (t *trainer) merge(p trainPair) {
	id := t.add(t.tokens[p.left] + t.tokens[p.right])
	t.merges = append(t.merges, p.pair)
	for _, w := range p.words {
		t.mergeIn(w, p.pair, id)
	}
	t.enqueue()
}

// mergeIn replaces the pair by id in one word, from left to right, and adjusts the counts of the pairs around it. The count of
// the pair itself stays: it has left the queue.
func (t *trainer) mergeIn(word int32, p pair, id int32) {
	w := &t.words[word]
	ids := w.ids
	out := ids[:0]
	for i := 0; i < len(ids); i++ {
		if ids[i] != p.left || i+1 == len(ids) || ids[i+1] != p.right {
			out = append(out, ids[i])
			continue
		}
		if n := len(out); n > 0 {
			t.counts[pair{out[n-1], p.left}] -= w.count
			t.gain(pair{out[n-1], id}, word)
		}
		if i+2 < len(ids) {
			t.counts[pair{p.right, ids[i+2]}] -= w.count
			t.gain(pair{id, ids[i+2]}, word)
		}
		out = append(out, id)
		i++
	}
	w.ids = out
}
