package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train/probe"
)

func (a *app) probeCommand() *cobra.Command {
	var model modelFlags
	var inputs, outputs string
	var grads bool
	c := &cobra.Command{
		Use:   "probe --model DIR [--adapter PATH] --inputs FILE --outputs FILE [--grads]",
		Short: "Compute logits, loss and gradients of a batch, to compare with another implementation",
		Example: `  geotune probe --model DIR --inputs batch.safetensors --outputs out.safetensors
  geotune probe --model DIR --adapter runs/quickstart/adapter --inputs batch.safetensors --outputs out.safetensors --grads`,
		Long: `The inputs are I64 or I32 tensors of shape (batch, length) by the names of the Hugging Face forward: input_ids, and optionally
attention_mask, position_ids and labels. The outputs are F32: logits (batch, length, vocabulary); with labels loss (1 element, the
mean cross-entropy of each label from the position before, -100 ignored); with --grads the gradient of the loss as grad.KEY for each
tensor of the adapter under its name there, or without an adapter for each weight of the model.`,
	}
	model.add(c)
	c.Flags().StringVar(&inputs, "inputs", "", "safetensors `FILE` to read the batch from")
	c.Flags().StringVar(&outputs, "outputs", "", "safetensors `FILE` to write")
	c.Flags().BoolVar(&grads, "grads", false, "compute gradients too")
	return a.command(c, func([]string) error { return a.probe(&model, inputs, outputs, grads) }, "model", "inputs", "outputs")
}

func (a *app) probe(model *modelFlags, inputs, outputs string, grads bool) error {
	path, err := configs.Resolve(inputs)
	if err != nil {
		return err
	}
	batch, err := probe.ReadInputs(path)
	if err != nil {
		return err
	}
	m, err := model.open(a)
	if err != nil {
		return err
	}
	defer m.Close()
	trained, err := m.trainables(grads)
	if err != nil {
		return err
	}
	r, err := probe.Compute(m.Model, batch, trained)
	if err != nil {
		return err
	}
	if err := r.Write(outputs); err != nil {
		return err
	}
	if r.HasLoss {
		fmt.Fprintf(a.stderr, "loss %v over %d targets\n", r.Loss, batch.Targets())
	}
	return nil
}

// trainables returns what gradients are wanted of: the adapter, or all weights.
func (m *loaded) trainables(grads bool) ([]*adapters.Trainable, error) {
	if !grads {
		return nil, nil
	}
	if m.adapter == nil {
		full, err := adapters.Attach(m.Model, adapters.Config{Type: "full"}, 0, nil)
		if err != nil {
			return nil, err
		}
		m.adapter = full
	}
	return m.adapter.Trainables(), nil
}
