package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/text"
	"github.com/geotune/geotune/train/text/tokenizer"
)

// data is what a run learns from.
type data struct {
	tok         *tokenizer.Tokenizer // nil with a fixed batch
	fixed       *text.Batch
	examples    []text.Example
	heldOut     []text.Example
	records     int
	perEpoch    int // micro-batches of an epoch
	fingerprint string
}

func (r *Run) openData() error {
	r.data = &data{}
	hash := sha256.New()
	if path := r.cfg.Data.Tensors; path != "" {
		return r.openFixed(path, hash)
	}
	var err error
	if r.data.tok, err = tokenizer.Load(r.modelDir); err != nil {
		return err
	}
	hash.Write(r.data.tok.JSON())
	enc, err := text.NewEncoder(r.data.tok, text.Options{MaxLength: r.cfg.Data.MaxLength, TrainOnPrompt: r.cfg.Data.TrainOnPrompt})
	if err != nil {
		return err
	}
	if r.data.examples, r.data.records, err = encodeFiles(enc, r.cfg.Data.Train, 0, hash); err != nil {
		return err
	}
	if r.data.heldOut, _, err = encodeFiles(enc, r.cfg.Data.HeldOut, r.cfg.Data.HeldOutLimit, hash); err != nil {
		return err
	}
	fmt.Fprintf(hash, "%+v %d", r.cfg.Data, r.cfg.Train.Batch)
	r.data.fingerprint = hex.EncodeToString(hash.Sum(nil))
	rows := r.model.Embeddings()[0].Num
	return errors.Join(text.CheckVocabulary(r.data.examples, rows), text.CheckVocabulary(r.data.heldOut, rows))
}

func (r *Run) openFixed(path string, hash io.Writer) error {
	path, err := configs.Resolve(path)
	if err != nil {
		return err
	}
	if r.data.fixed, err = text.ReadBatch(path); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	r.data.fingerprint = hex.EncodeToString(sum[:])
	return nil
}

// encodeFiles reads JSONL files and encodes their records; limit bounds the records, 0 = all.
func encodeFiles(enc *text.Encoder, paths []string, limit int, hash io.Writer) (examples []text.Example, records int, err error) {
	for _, path := range paths {
		if limit > 0 && records == limit {
			break
		}
		real, err := configs.Resolve(path)
		if err != nil {
			return nil, 0, err
		}
		content, err := os.ReadFile(real)
		if err != nil {
			return nil, 0, fmt.Errorf("run: read data: %w", err)
		}
		hash.Write(content)
		recs, err := text.Read(path, bytes.NewReader(content))
		if err != nil {
			return nil, 0, err
		}
		if limit > 0 {
			recs = recs[:min(len(recs), limit-records)]
		}
		records += len(recs)
		examples = append(examples, enc.EncodeAll(recs)...)
	}
	if len(paths) > 0 && len(examples) == 0 {
		return nil, 0, fmt.Errorf("run: %v: no record has anything to learn", paths)
	}
	return examples, records, nil
}

// source returns the training batches.
func (d *data) source(cfg *train.Config) (text.Source, error) {
	if d.fixed != nil {
		d.perEpoch = 1
		return text.NewFixed(d.fixed)
	}
	if len(d.examples) == 0 {
		return nil, errors.New("run: data.train names no file; set it, or data.tensors")
	}
	b, err := text.NewBatcher(d.examples, text.BatchOptions{
		Size: cfg.Train.Batch, MaxLength: cfg.Data.MaxLength, Pack: cfg.Data.Pack, Seed: cfg.Train.Seed,
		Shuffle: cfg.Data.Shuffle, Hold: cfg.Train.Accumulate,
	})
	if err != nil {
		return nil, err
	}
	d.perEpoch = b.PerEpoch()
	return b, nil
}

// heldOutBatches returns all batches of the held-out data, examples of similar length together.
func (d *data) heldOutBatches(cfg *train.Config) ([]*text.Batch, error) {
	if len(d.heldOut) == 0 {
		return nil, nil
	}
	return text.HeldOut(d.heldOut, cfg.Eval.Batch, cfg.Data.MaxLength)
}
