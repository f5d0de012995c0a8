package transformer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/layers/transformer"
)

const tinyConfig = `{"model_type": "llama", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
	"num_attention_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": true}`

// A model is built from a config, here with random weights; Open takes both from a directory.
func ExampleModel_Forward() {
	config, err := transformer.ParseConfig("config.json", []byte(tinyConfig))
	if err != nil {
		log.Fatal(err)
	}
	model, err := transformer.Random(config, 1)
	if err != nil {
		log.Fatal(err)
	}
	batch := transformer.NewBatch(1, 4)
	copy(batch.IDs.I32, []int32{3, 1, 4, 1})
	batch.SetLabels([]int32{3, 1, 4, 1})

	g := graph.NewWorkspace().NewEvalGraph()
	out := model.Forward(g, batch, transformer.Options{})
	machine, err := g.Compile(graph.Output{Node: out.Loss})
	if err != nil {
		log.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		log.Fatal(err)
	}
	loss := machine.Output(0).F32[0] / float32(batch.TargetCount())
	fmt.Println("an untrained model is about as good as chance, ln 50 = 3.9:", loss > 3.5 && loss < 4.3)
	// Output: an untrained model is about as good as chance, ln 50 = 3.9: true
}

// Tokens are handed out one by one as they are chosen.
func ExampleGenerator_Generate() {
	config, err := transformer.ParseConfig("config.json", []byte(tinyConfig))
	if err != nil {
		log.Fatal(err)
	}
	model, err := transformer.Random(config, 1)
	if err != nil {
		log.Fatal(err)
	}
	generator, err := transformer.NewGenerator(model, 64)
	if err != nil {
		log.Fatal(err)
	}
	opt := transformer.GenOptions{MaxTokens: 3, Temperature: 0.8, TopP: 0.95, Seed: 7, Stop: config.EOS}
	n := 0
	ids, err := generator.Generate(context.Background(), []int32{3, 1, 4}, opt, func(id int32) error {
		n++ // print the token's text here
		return nil
	})
	fmt.Println(len(ids), n, err)
	// Output: 3 3 <nil>
}
