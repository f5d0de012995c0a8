package text

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train"
)

// BatchOptions say how examples become batches.
type BatchOptions struct {
	// Size is the number of rows of a batch.
	Size int
	// MaxLength bounds the tokens of a row.
	MaxLength int
	// Pack puts several examples into a row; otherwise batches are formed of examples of similar length.
	Pack bool
	// Seed fixes the order; Shuffle false keeps the order of the data.
	Seed    uint64
	Shuffle bool
	// Hold is how many batches are in use at once; 0 means 1.
	Hold int
}

// rowLength returns the length of the rows that hold n tokens. It is n rounded up by at most an eighth from 64 tokens on, so that few
// different shapes have to be compiled and little is computed for padding.
func (o *BatchOptions) rowLength(n int) int {
	step := 8
	for 8*step < n/2 {
		step *= 2
	}
	return min((n+step-1)/step*step, max(o.MaxLength, n))
}

// Batch is a micro-batch with what it counts for.
type Batch struct {
	*transformer.Batch
	tokens, targets, epoch int
}

// Targets returns the number of predictions in the loss.
func (b *Batch) Targets() int { return b.targets }

// Items returns the number of tokens without padding.
func (b *Batch) Items() int { return b.tokens }

// Epoch returns the pass over the data that the batch belongs to, from 0.
func (b *Batch) Epoch() int { return b.epoch }

// Batcher deals the examples out in batches, epoch after epoch, each epoch in an order of its own.
type Batcher struct {
	examples []*Example
	opt      BatchOptions
	next     train.Position
	epoch    [][]row // batches of epoch next.Epoch
	dealt    int
	reuse    map[[3]int]*Batch // by dealt modulo Hold, rows and length
}

// NewBatcher returns a batcher at the start of epoch 0.
func NewBatcher(examples []Example, opt BatchOptions) (*Batcher, error) {
	if opt.Size < 1 || opt.MaxLength < 2 {
		return nil, fmt.Errorf("text: batches of %d rows of at most %d tokens; expected at least 1 and 2", opt.Size, opt.MaxLength)
	}
	if len(examples) == 0 {
		return nil, errors.New("text: no examples to learn from; every record was empty after tokenising")
	}
	b := &Batcher{opt: opt, reuse: map[[3]int]*Batch{}}
	for i := range examples {
		if n := len(examples[i].IDs); n > opt.MaxLength {
			return nil, fmt.Errorf("text: %s: example of %d tokens, rows hold %d", examples[i].Where, n, opt.MaxLength)
		}
		b.examples = append(b.examples, &examples[i])
	}
	b.epoch = b.plan(0)
	return b, nil
}

// Position returns the position of the batch that Next will return.
func (b *Batcher) Position() train.Position { return b.next }

// Seek continues at p.
func (b *Batcher) Seek(p train.Position) error {
	if p.Epoch < 0 || p.Batch < 0 {
		return fmt.Errorf("text: position %+v is negative", p)
	}
	epoch := b.plan(p.Epoch)
	if p.Batch > len(epoch) {
		return fmt.Errorf("text: position %+v: the epoch has %d batches; is this the data of the checkpoint?", p, len(epoch))
	}
	b.next, b.epoch = p, epoch
	return nil
}

// Largest returns the rows and the row length that no batch exceeds.
func (b *Batcher) Largest() (rows, length int) {
	longest := 0
	for _, ex := range b.examples {
		longest = max(longest, len(ex.IDs))
	}
	if b.opt.Pack {
		longest = b.opt.MaxLength
	}
	return min(b.opt.Size, len(b.examples)), b.opt.rowLength(longest)
}

// PerEpoch returns the number of batches of the current epoch.
func (b *Batcher) PerEpoch() int { return len(b.epoch) }

// Next returns the next batch. It is valid until Next has been called Hold times more.
func (b *Batcher) Next() *Batch {
	if b.next.Batch == len(b.epoch) {
		b.next = train.Position{Epoch: b.next.Epoch + 1}
		if b.opt.Shuffle { // otherwise all epochs are the same
			b.epoch = b.plan(b.next.Epoch)
		}
	}
	rows := b.epoch[b.next.Batch]
	b.next.Batch++
	return b.batch(rows)
}

func (b *Batcher) batch(rows []row) *Batch {
	length := 0
	for _, r := range rows {
		length = max(length, r.length)
	}
	length = b.opt.rowLength(length)
	key := [3]int{b.dealt % max(1, b.opt.Hold), len(rows), length}
	b.dealt++
	out := b.reuse[key]
	if out == nil {
		out = &Batch{Batch: transformer.NewBatch(len(rows), length)}
		b.reuse[key] = out
	}
	out.tokens, out.targets, out.epoch = 0, 0, b.next.Epoch
	t := out.Batch
	for i, r := range rows {
		line := func(x []int32) []int32 { return x[i*length : (i+1)*length] }
		out.targets += r.fill(line(t.IDs.I32), line(t.Positions.I32), line(t.Segments.I32), line(t.Targets.I32))
		out.tokens += r.length
	}
	return out
}

// plan deals the examples of one epoch into batches. It depends on the options and the epoch alone.
func (b *Batcher) plan(epoch int) [][]row {
	rng := rand.New(rand.NewPCG(b.opt.Seed, uint64(epoch)))
	order := slices.Clone(b.examples)
	if b.opt.Shuffle {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	if b.opt.Pack {
		return split(packed(order, b.opt.MaxLength), b.opt.Size)
	}
	rows := single(order)
	if !b.opt.Shuffle {
		return split(rows, b.opt.Size)
	}
	// Rows of similar length come together within windows, so that the order stays random at large.
	const window = 32
	for part := range slices.Chunk(rows, window*b.opt.Size) {
		slices.SortStableFunc(part, func(x, y row) int { return cmp.Compare(x.length, y.length) })
	}
	batches := split(rows, b.opt.Size)
	rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	return batches
}

func split(rows []row, size int) [][]row { return slices.Collect(slices.Chunk(rows, size)) }

// HeldOut returns all examples once, in batches of at most size rows that hold examples of similar length.
func HeldOut(examples []Example, size, maxLength int) ([]*Batch, error) {
	sorted := slices.Clone(examples)
	slices.SortStableFunc(sorted, func(a, b Example) int { return cmp.Compare(len(a.IDs), len(b.IDs)) })
	b, err := NewBatcher(sorted, BatchOptions{Size: size, MaxLength: maxLength, Hold: len(sorted)})
	if err != nil {
		return nil, err
	}
	batches := make([]*Batch, b.PerEpoch())
	for i := range batches {
		batches[i] = b.Next()
	}
	return batches, nil
}
