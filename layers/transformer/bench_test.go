package transformer

import (
	"context"
	"testing"

	"github.com/geotune/geotune/graph"
)

// tinyLlama is the benchmarks' model of 4 million parameters.
const tinyLlama = `{"model_type":"llama","vocab_size":4096,"hidden_size":256,"intermediate_size":704,"num_hidden_layers":4,
	"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":1024,"tie_word_embeddings":true}`

func BenchmarkForward(b *testing.B) {
	m := randomModel(b, tinyLlama)
	batch := ramp(NewBatch(8, 256), m.Config.VocabSize)
	g := graph.NewWorkspace().NewEvalGraph()
	machine, err := g.Compile(graph.Output{Node: m.Forward(g, batch, Options{}).Loss})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := machine.RunAll(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(8*256*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkGenerate(b *testing.B) {
	g := newGenerator(b, randomModel(b, tinyLlama), 128)
	prompt := make([]int32, 64)
	n := 0
	for b.Loop() {
		out, err := g.Generate(context.Background(), prompt, GenOptions{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		n += len(out)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tokens/s")
}
