package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train/inspect"
)

func (a *app) inspectCommand() *cobra.Command {
	var args map[string]string
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect PATH [--json]",
		Short: "Tell what a model, adapter, checkpoint or safetensors file holds",
		Example: `  geotune inspect builtin:quickstart/model
  geotune inspect runs/quickstart/adapter
  geotune inspect runs/quickstart/checkpoints/step-100 --json`,
		Long: `Of an adapter it shows type, targets, ranks, and for each layer norm and singular values of the update; of a model its family and
sizes; of a checkpoint the place in the run and whether it is whole; of other safetensors files the tensors.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("found %d arguments, expected one path", len(args))
			}
			return nil
		},
	}
	addAdapterArgs(c, &args)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.command(c, func(paths []string) error {
		path, err := configs.Resolve(paths[0])
		if err != nil {
			return err
		}
		d, err := inspect.Describe(path, args)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(a.stdout, d)
		}
		return d.WriteText(a.stdout)
	})
}
