package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/train/bench"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench COMMAND",
		Short: "Measure training steps on this machine",
		Example: `  geotune bench step --preset llama-tiny
  geotune bench step --preset gpt2-small --threads 1 --json`,
		Long: `Random weights, random data; nothing is read or written. Rates count a multiply-add as 2 operations and come with their share of what
the processor does at most, measured by a loop of multiply-adds in registers. Figures mean something only while nothing else keeps
the machine busy.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.benchStepCommand())
	return c
}

func (a *app) benchStepCommand() *cobra.Command {
	var o bench.StepOptions
	var optimizer string
	var lr float64
	var json bool
	c := &cobra.Command{
		Use:   "step --preset NAME [flags]",
		Short: "Measure a training step and where its time goes",
		Example: `  geotune bench step --preset llama-tiny
  geotune bench step --preset gpt2-small --threads 1 --json
  geotune bench step --preset llama-60m --optimizer riemannion --set optimizer.nesterov=true
  geotune bench step --preset llama-tiny --set adapter.rank=64 --set train.batch=2`,
	}
	var presets strings.Builder
	for _, p := range bench.Presets() {
		fmt.Fprintf(&presets, "  %-12s %s\n", p, bench.Describe(p))
	}
	c.Long = `Trains a model of random weights on random tokens, by the very code that 'geotune train' runs, and prints times, rates, memory and
the time by kind of kernel. LoRA sits on the attention with rank 16 and alpha 32. The presets are
` + strings.TrimSuffix(presets.String(), "\n")
	fs := c.Flags()
	fs.StringVar(&o.Preset, "preset", "", "`NAME` of the model: "+strings.Join(bench.Presets(), ", "))
	fs.StringVar(&o.Adapter, "adapter", bench.LoRA, "what is trained: `TYPE` lora or full")
	fs.StringVar(&optimizer, "optimizer", "adamw", "`NAME` of the update rule")
	fs.Float64Var(&lr, "lr", 1e-4, "learning `RATE`")
	fs.StringVar(&o.DType, "dtype", "float32", "`TYPE` in which frozen weights are kept: float32, bfloat16, float16")
	fs.IntVar(&o.Threads, "threads", 0, "use `N` threads; 0 = all cores")
	fs.IntVar(&o.Steps, "steps", 10, "measure `N` steps")
	fs.IntVar(&o.Warmup, "warmup", 3, "after `N` that do not count")
	fs.StringArrayVar(&o.Sets, "set", nil, "change a setting as in a config for train: `KEY=VALUE` of adapter, optimizer, or batch sizes; may be repeated")
	fs.BoolVar(&json, "json", false, "print one JSON object")
	return a.command(c, func([]string) error {
		o.Sets = append([]string{"optimizer.name=" + optimizer, fmt.Sprintf("optimizer.lr=%g", lr)}, o.Sets...)
		stop, _, done := a.watch("stopping")
		defer done()
		r, err := bench.Step(stop, o)
		if err != nil {
			return benchError(err)
		}
		if json {
			return writeJSON(a.stdout, r)
		}
		return r.WriteText(a.stdout)
	}, "preset")
}

// benchError tells a wrong usage from a failure.
func benchError(err error) error {
	var usage bench.UsageError
	if errors.As(err, &usage) {
		return usageError{err}
	}
	return err
}
