package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/train/fuse"
)

func (a *app) fuseCommand() *cobra.Command {
	var model modelFlags
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "fuse --model DIR --adapter PATH -o DIR",
		Short: "Fold an adapter into the weights of its model",
		Example: `  geotune fuse --model builtin:quickstart/model --adapter runs/quickstart/adapter -o runs/quickstart/fused
  geotune generate --model runs/quickstart/fused --prompt 'func main() {'`,
		Long: `The output is a complete Hugging Face directory: config, weights in the types of the base model, tokenizer. Before anything is
written, the fused model's logits on a random batch are compared with those of base and adapter; a difference that rounding to the
base's types does not explain is an error.`,
	}
	model.add(c)
	c.Flags().StringVarP(&out, "out", "o", "", "`DIR` to write, which may not exist yet")
	c.Flags().BoolVar(&asJSON, "json", false, "print the outcome as one JSON object")
	markDirectory(c, "out")
	return a.command(c, func([]string) error { return a.fuse(&model, out, asJSON) }, "model", "adapter", "out")
}

func (a *app) fuse(model *modelFlags, out string, asJSON bool) error {
	if err := empty(out); err != nil {
		return err
	}
	m, err := model.open(a)
	if err != nil {
		return err
	}
	defer m.Close()
	r, err := fuse.Fuse(m.Model, m.adapter)
	if err != nil {
		return err
	}
	if err := m.Save(out); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(a.stdout, r)
	}
	fmt.Fprintf(a.stderr, "%s", r)
	_, err = fmt.Fprintln(a.stdout, out)
	return err
}
