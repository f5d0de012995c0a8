package transformer

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// GenOptions are the settings of one generation. Tokens are chosen in the terms and the order of transformers' logits processors:
// repetition penalty, temperature, top-k, top-p. The zero value takes the likeliest token each time until the context is full.
type GenOptions struct {
	MaxTokens int // new tokens at most; 0: as many as fit
	// Stop lists the ids that end the text, usually the EOS of the config; they are neither emitted nor returned.
	Stop []int32
	// Temperature divides the logits; 0 takes the likeliest token instead of drawing one.
	Temperature float64
	// TopK keeps the k likeliest tokens (and what ties with the last of them); 0 keeps all.
	TopK int
	// TopP keeps the fewest likeliest tokens whose probabilities reach it; 0 and 1 keep all.
	TopP float64
	// RepetitionPenalty divides positive and multiplies negative logits of tokens that have occurred, prompt included (Keskar et al.,
	// "CTRL", 2019); 0 and 1 leave them.
	RepetitionPenalty float64
	// Seed of the draws.
	Seed uint64
}

func (o GenOptions) check() error {
	switch {
	case o.MaxTokens < 0:
		return fmt.Errorf("found a maximum of %d new tokens, expected 0 or more", o.MaxTokens)
	case !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0):
		return fmt.Errorf("found temperature %g, expected 0 or more", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("found top-k %d, expected 0 or more", o.TopK)
	case !(o.TopP >= 0 && o.TopP <= 1):
		return fmt.Errorf("found top-p %g, expected 0 to 1", o.TopP)
	case !(o.RepetitionPenalty >= 0) || math.IsInf(o.RepetitionPenalty, 0):
		return fmt.Errorf("found repetition penalty %g, expected a positive number", o.RepetitionPenalty)
	}
	return nil
}

// picker chooses tokens one after the other.
type picker struct {
	GenOptions
	rng    *rand.Rand
	seen   []bool // by id: occurred in the text
	scores []float32
	order  []int32 // ids by descending score
	probs  []float64
}

func newPicker(o GenOptions, vocab int, prompt []int32) *picker {
	p := &picker{GenOptions: o, rng: rand.New(rand.NewPCG(o.Seed, 0)), seen: make([]bool, vocab), scores: make([]float32, vocab)}
	for _, id := range prompt {
		p.seen[id] = true
	}
	return p
}

// next chooses a token and takes note of it.
func (p *picker) next(logits []float32) int32 {
	copy(p.scores, logits)
	p.penalise()
	id := argmax(p.scores)
	if p.Temperature > 0 {
		id = p.draw()
	}
	p.seen[id] = true
	return id
}

func (p *picker) penalise() {
	penalty := float32(p.RepetitionPenalty)
	if penalty == 0 || penalty == 1 {
		return
	}
	for id, v := range p.scores {
		if !p.seen[id] {
			continue
		}
		if v < 0 {
			p.scores[id] = v * penalty
		} else {
			p.scores[id] = v / penalty
		}
	}
}

// draw samples from the softmax over the tokens that temperature, top-k and top-p leave.
func (p *picker) draw() int32 {
	t := float32(p.Temperature)
	p.order = p.order[:0]
	for id := range p.scores {
		p.scores[id] /= t
		p.order = append(p.order, int32(id))
	}
	if p.TopK > 0 || p.TopP > 0 && p.TopP < 1 {
		slices.SortFunc(p.order, func(a, b int32) int {
			return cmp.Or(cmp.Compare(p.scores[b], p.scores[a]), cmp.Compare(a, b))
		})
	}
	if k := p.TopK; k > 0 && k < len(p.order) {
		least := p.scores[p.order[k-1]]
		for k < len(p.order) && p.scores[p.order[k]] == least {
			k++
		}
		p.order = p.order[:k]
	}
	total := p.softmax()
	if p.TopP > 0 && p.TopP < 1 {
		total = p.cutTopP(total)
	}
	u := p.rng.Float64() * total
	for i, id := range p.order {
		if u -= p.probs[i]; u < 0 {
			return id
		}
	}
	return p.order[0] // rounding left u at the very end
}

// softmax sets probs to exponentials of the scores in order, not normalised, and returns their sum.
func (p *picker) softmax() float64 {
	top := p.scores[argmax(p.scores)]
	p.probs = p.probs[:0]
	total := 0.0
	for _, id := range p.order {
		e := math.Exp(float64(p.scores[id] - top))
		p.probs = append(p.probs, e)
		total += e
	}
	return total
}

// cutTopP drops from the end of order what the cumulative probability of the less likely tokens, up to and including it, leaves
// below 1 - TopP, and returns the sum of the rest. One token always stays.
func (p *picker) cutTopP(total float64) float64 {
	tail, n := 0.0, len(p.order)
	for n > 1 && tail+p.probs[n-1] <= (1-p.TopP)*total {
		n--
		tail += p.probs[n]
	}
	p.order, p.probs = p.order[:n], p.probs[:n]
	return total - tail
}

// argmax returns the index of the largest value, the first of equal ones.
func argmax(v []float32) int32 {
	best := 0
	for i, x := range v {
		if x > v[best] {
			best = i
		}
	}
	return int32(best)
}
