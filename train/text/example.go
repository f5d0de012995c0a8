package text

import (
	"errors"
	"fmt"
	"slices"

	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/train/text/tokenizer"
)

// Example is a tokenised record. Learn[i] tells whether predicting token i counts in the loss; it is false for Learn[0], which
// nothing predicts.
type Example struct {
	IDs   []int32
	Learn []bool
	Where string
}

// CheckVocabulary makes sure that every id has one of the rows of a model's embedding.
func CheckVocabulary(examples []Example, rows int) error {
	for _, ex := range examples {
		for _, id := range ex.IDs {
			if int(id) >= rows {
				return fmt.Errorf("text: %s: token id %d, but the model has %d; tokenizer and model do not belong together", ex.Where, id, rows)
			}
		}
	}
	return nil
}

// Options say how records become examples.
type Options struct {
	// MaxLength is the longest example in tokens. Running text is cut into examples of this length; other records that are longer
	// lose their end.
	MaxLength int
	// TrainOnPrompt makes the loss count prompts and the turns of others too.
	TrainOnPrompt bool
}

// Tokenizer is what encoding needs of a tokenizer.
type Tokenizer interface {
	Encode(text string, addSpecial bool) tokenizer.Encoding
	EOS() (int32, bool)
	BOS() (int32, bool)
}

// Encoder turns records into examples.
type Encoder struct {
	tok      Tokenizer
	opt      Options
	bos, eos []int32 // empty where the tokenizer has none
}

// NewEncoder returns an encoder. The tokenizer needs an end-of-text token, which every example ends with: a model that never
// learns to stop generates for ever.
func NewEncoder(tok Tokenizer, opt Options) (*Encoder, error) {
	if opt.MaxLength < 2 {
		return nil, fmt.Errorf("text: max length %d; expected at least 2", opt.MaxLength)
	}
	e := &Encoder{tok: tok, opt: opt}
	id, ok := tok.EOS()
	if !ok {
		return nil, errors.New("text: the tokenizer names no end-of-text token; set eos_token in tokenizer_config.json")
	}
	e.eos = []int32{id}
	if probe := tok.Encode("a", true).IDs; len(probe) > 0 {
		if id, ok := tok.BOS(); ok && probe[0] == id {
			e.bos = []int32{id}
		}
	}
	return e, nil
}

// Encode returns the examples of one record: one, or several for long running text.
func (e *Encoder) Encode(r Record) []Example {
	switch {
	case r.Text != nil:
		return e.chunks(r)
	case r.Messages != nil:
		return e.conversation(r)
	}
	ex := e.start(r)
	ex.add(e.ids(*r.Prompt), e.opt.TrainOnPrompt)
	ex.add(e.ids(*r.Completion), true)
	ex.add(e.eos, true)
	return e.finish(ex)
}

// EncodeAll returns the examples of all records in their order. It uses every core.
func (e *Encoder) EncodeAll(records []Record) []Example {
	encoded := make([][]Example, len(records))
	cpu.Parallel(len(records), 64, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			encoded[i] = e.Encode(records[i])
		}
	})
	return slices.Concat(encoded...)
}

func (e *Encoder) ids(s string) []int32 { return e.tok.Encode(s, false).IDs }

func (e *Encoder) start(r Record) *Example {
	ex := &Example{Where: r.Where}
	ex.add(e.bos, false)
	return ex
}

// finish truncates the example and drops it if nothing is left to learn.
func (e *Encoder) finish(ex *Example) []Example {
	if n := e.opt.MaxLength; len(ex.IDs) > n {
		ex.IDs, ex.Learn = ex.IDs[:n], ex.Learn[:n]
	}
	if len(ex.Learn) > 0 {
		ex.Learn[0] = false
	}
	if ex.targets() == 0 {
		return nil
	}
	return []Example{*ex}
}

// chunks cuts running text into examples that overlap by one token, so that every token but the first is predicted exactly once.
func (e *Encoder) chunks(r Record) []Example {
	ids := append(append(append([]int32{}, e.bos...), e.ids(*r.Text)...), e.eos...)
	var out []Example
	for len(ids) > 1 {
		n := min(e.opt.MaxLength, len(ids))
		ex := Example{Where: r.Where}
		ex.add(ids[:n], true)
		ex.Learn[0] = false
		out = append(out, ex)
		ids = ids[n-1:]
	}
	return out
}

// conversation renders messages in the ChatML layout and learns the assistant's turns with the token that ends them.
func (e *Encoder) conversation(r Record) []Example {
	ex := e.start(r)
	for _, m := range r.Messages {
		own := m.Role == "assistant"
		ex.add(e.ids("<|im_start|>"+m.Role+"\n"), e.opt.TrainOnPrompt)
		ex.add(e.ids(m.Content+"<|im_end|>"), own || e.opt.TrainOnPrompt)
		ex.add(e.ids("\n"), e.opt.TrainOnPrompt)
	}
	ex.add(e.eos, true)
	return e.finish(ex)
}

func (ex *Example) add(ids []int32, learn bool) {
	for _, id := range ids {
		ex.IDs, ex.Learn = append(ex.IDs, id), append(ex.Learn, learn)
	}
}

func (ex *Example) targets() int {
	n := 0
	for _, l := range ex.Learn {
		if l {
			n++
		}
	}
	return n
}
