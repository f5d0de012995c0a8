package text_test

import (
	"math/rand/v2"
	"testing"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/text"
)

// llamaTiny is a Llama of 5 million parameters: small enough for a benchmark, with the proportions of larger ones.
const llamaTiny = `{"model_type":"llama","hidden_size":256,"intermediate_size":704,"num_hidden_layers":4,"num_attention_heads":4,
"num_key_value_heads":2,"vocab_size":4096,"max_position_embeddings":256,"rms_norm_eps":1e-5,"tie_word_embeddings":false,
"hidden_act":"silu","initializer_range":0.02}`

// benchTask is LoRA of rank 16 on the attention of llama-tiny with batches of 8 rows of 256 tokens.
func benchTask(b *testing.B, heldOut bool) (*text.Task, *optim.Optimizer) {
	b.Helper()
	cfg, err := transformer.ParseConfig("config.json", []byte(llamaTiny))
	if err != nil {
		b.Fatal(err)
	}
	model, err := transformer.Random(cfg, 1)
	if err != nil {
		b.Fatal(err)
	}
	adapter, err := adapters.Attach(model, adapters.Config{Rank: 16, Targets: []string{"q_proj", "k_proj", "v_proj", "o_proj"}}, 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var examples []text.Example
	for range 8 {
		ex := text.Example{}
		for i := range 256 {
			ex.IDs, ex.Learn = append(ex.IDs, int32(rng.IntN(4096))), append(ex.Learn, i > 0)
		}
		examples = append(examples, ex)
	}
	source, err := text.NewBatcher(examples, text.BatchOptions{Size: 8, MaxLength: 256})
	if err != nil {
		b.Fatal(err)
	}
	var o text.TaskOptions
	if heldOut {
		if o.HeldOut, err = text.HeldOut(examples, 8, 256); err != nil {
			b.Fatal(err)
		}
	}
	rule, err := optim.NewRule("adamw")
	if err != nil {
		b.Fatal(err)
	}
	opt, err := optim.New(rule, adapter.Points(), optim.Config{})
	if err != nil {
		b.Fatal(err)
	}
	return text.NewTask(model, adapter.Trainables(), source, o), opt
}

func reportTokens(b *testing.B) {
	b.ReportMetric(float64(8*256*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkStep measures a whole step; the benchmarks below its parts.
func BenchmarkStep(b *testing.B) {
	task, opt := benchTask(b, false)
	for b.Loop() {
		if _, err := task.Accumulate(task.Next(), train.Moment{}, 1e-3); err != nil {
			b.Fatal(err)
		}
		if _, err := opt.Step(1e-4); err != nil {
			b.Fatal(err)
		}
	}
	reportTokens(b)
}

func BenchmarkForwardBackward(b *testing.B) {
	task, _ := benchTask(b, false)
	for b.Loop() {
		if _, err := task.Accumulate(task.Next(), train.Moment{}, 1e-3); err != nil {
			b.Fatal(err)
		}
	}
	reportTokens(b)
}

func BenchmarkForward(b *testing.B) {
	task, _ := benchTask(b, true)
	for b.Loop() {
		if _, err := task.Evaluate(); err != nil {
			b.Fatal(err)
		}
	}
	reportTokens(b)
}

func BenchmarkOptimizer(b *testing.B) {
	_, opt := benchTask(b, false)
	for b.Loop() {
		if _, err := opt.Step(1e-4); err != nil {
			b.Fatal(err)
		}
	}
}
