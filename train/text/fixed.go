package text

import (
	"errors"
	"fmt"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train"
)

// ReadBatch reads a batch by the names of the Hugging Face forward: input_ids (B,T), and optionally attention_mask, position_ids and
// labels of the same shape. As there, label t is what position t-1 predicts, and positions count from 0 whatever the mask says.
// Without labels nothing is a target.
func ReadBatch(path string) (*Batch, error) {
	set, err := safetensors.Open(path)
	if err != nil {
		return nil, fmt.Errorf("text: read batch: %w", err)
	}
	defer set.Close()
	info, ok := set.Info("input_ids")
	if !ok || len(info.Shape) != 2 || info.Shape[0] < 1 || info.Shape[1] < 1 {
		return nil, fmt.Errorf("text: %s: found no input_ids of shape (batch, length)", path)
	}
	rows, length := info.Shape[0], info.Shape[1]
	b := &Batch{Batch: transformer.NewBatch(rows, length)}
	labels := kernel.NewI32(rows, length)
	for i := range labels.I32 {
		labels.I32[i] = transformer.Ignored
	}
	for name, dst := range map[string]*kernel.Tensor{
		"input_ids": b.IDs, "attention_mask": b.Segments, "position_ids": b.Positions, "labels": labels,
	} {
		if err := readInts(set, name, dst); err != nil {
			return nil, fmt.Errorf("text: %s: %w", path, err)
		}
	}
	b.SetLabels(labels.I32)
	b.count()
	return b, nil
}

// readInts fills dst from the tensor of that name, if there is one.
func readInts(set *safetensors.Set, name string, dst *kernel.Tensor) error {
	info, ok := set.Info(name)
	if !ok {
		return nil
	}
	if !dst.Shape.Equal(info.Shape) {
		return fmt.Errorf("%s: found shape %v, expected %v as input_ids have", name, info.Shape, dst.Shape)
	}
	v, err := set.Int32(name)
	if err != nil {
		return err
	}
	copy(dst.I32, v)
	return nil
}

// count sets what the batch counts for.
func (b *Batch) count() {
	b.targets = b.TargetCount()
	for _, segment := range b.Segments.I32 {
		if segment != 0 {
			b.tokens++
		}
	}
}

// Fixed deals out one and the same batch for ever: it reproduces the run of another framework.
type Fixed struct {
	batch *Batch
	next  train.Position
}

// NewFixed returns a source of b, which needs at least one target.
func NewFixed(b *Batch) (*Fixed, error) {
	if b.targets == 0 {
		return nil, errors.New("text: the fixed batch has no labels to learn from")
	}
	return &Fixed{batch: b}, nil
}

// Next returns the batch.
func (f *Fixed) Next() *Batch {
	f.next.Epoch++
	return f.batch
}

// Position implements Source.
func (f *Fixed) Position() train.Position { return f.next }

// Seek implements Source.
func (f *Fixed) Seek(p train.Position) error {
	f.next = p
	return nil
}

// Largest implements Source.
func (f *Fixed) Largest() (rows, length int) { return f.batch.IDs.Shape[0], f.batch.IDs.Shape[1] }
