package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train/text"
	"github.com/geotune/geotune/train/text/tokenizer"
)

// evalFlags are the flags of the eval command.
type evalFlags struct {
	model        modelFlags
	data         string
	batch, limit int
	options      text.Options
	json         bool
}

func (a *app) evalCommand() *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use:   "eval --model DIR [--adapter PATH] --data FILE [flags]",
		Short: "Measure loss and perplexity on data",
		Example: `  geotune eval --model builtin:quickstart/model --data builtin:quickstart/pairs-heldout.jsonl
  geotune eval --model DIR --adapter runs/quickstart/adapter --data heldout.jsonl --json`,
		Long: `The data are JSONL records as for training: {"text"}, {"prompt", "completion"} or {"messages"}. The loss counts what training
would count: completions and the assistant's turns.`,
	}
	f.model.add(c)
	fs := c.Flags()
	fs.StringVar(&f.data, "data", "", "JSONL `FILE`")
	fs.IntVar(&f.batch, "batch", 8, "evaluate `N` rows at once")
	fs.IntVar(&f.options.MaxLength, "max-length", 512, "cut records at `N` tokens")
	fs.BoolVar(&f.options.TrainOnPrompt, "train-on-prompt", false, "count prompts too")
	fs.IntVar(&f.limit, "limit", 0, "read the first `N` records only; 0 = all")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return a.command(c, func([]string) error { return a.eval(&f) }, "model", "data")
}

// evaluation is the outcome of eval in JSON.
type evaluation struct {
	Loss       float64 `json:"loss"`
	Perplexity float64 `json:"perplexity"`
	Targets    int     `json:"targets"`
	Examples   int     `json:"examples"`
	Seconds    float64 `json:"seconds"`
}

func (a *app) eval(f *evalFlags) error {
	start := time.Now()
	m, err := f.model.open(a)
	if err != nil {
		return err
	}
	defer m.Close()
	examples, err := f.examples(m)
	if err != nil {
		return err
	}
	batches, err := text.HeldOut(examples, f.batch, f.options.MaxLength)
	if err != nil {
		return err
	}
	e, err := text.NewTask(m.Model, nil, nil, text.TaskOptions{HeldOut: batches}).Evaluate()
	if err != nil {
		return err
	}
	if math.IsNaN(e.Loss) || math.IsInf(e.Loss, 0) {
		return fmt.Errorf("%s: the loss is %v; the weights of the model or the adapter are broken", f.data, e.Loss)
	}
	r := evaluation{e.Loss, math.Exp(e.Loss), e.Targets, len(examples), time.Since(start).Seconds()}
	if f.json {
		return writeJSON(a.stdout, r)
	}
	_, err = fmt.Fprintf(a.stdout, "loss %.4f, perplexity %.3f over %d targets of %d examples\n", r.Loss, r.Perplexity, r.Targets, r.Examples)
	return err
}

// examples reads and encodes the data.
func (f *evalFlags) examples(m *loaded) ([]text.Example, error) {
	tok, err := tokenizer.Load(m.dir)
	if err != nil {
		return nil, err
	}
	enc, err := text.NewEncoder(tok, f.options)
	if err != nil {
		return nil, err
	}
	path, err := configs.Resolve(f.data)
	if err != nil {
		return nil, err
	}
	records, err := text.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if f.limit > 0 {
		records = records[:min(f.limit, len(records))]
	}
	examples := enc.EncodeAll(records)
	return examples, text.CheckVocabulary(examples, m.Config.VocabSize)
}
