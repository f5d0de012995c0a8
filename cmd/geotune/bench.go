package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/train/bench"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench COMMAND",
		Short: "Measure matrix products and training steps on this machine",
		Example: `  geotune bench step --preset llama-tiny
  geotune bench step --preset gpt2-small --threads 1 --json
  geotune bench gemm`,
		Long: `Random weights, random data; nothing is read or written. Rates count a multiply-add as 2 operations and come with their share of what
the processor does at most, measured by a loop of multiply-adds in registers. Figures mean something only while nothing else keeps
the machine busy.`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.benchStepCommand(), a.benchGemmCommand())
	return c
}

func (a *app) benchGemmCommand() *cobra.Command {
	var o bench.GemmOptions
	var json bool
	c := &cobra.Command{
		Use:   "gemm [--threads N,...] [--budget TIME] [--kind KIND,...] [--json]",
		Short: "Measure matrix products",
		Example: `  geotune bench gemm
  geotune bench gemm --threads 1,2 --budget 100ms --json
  geotune bench gemm --kind layer,lora`,
		Long: `Squares, layers of models, the thin products of LoRA, attention and stacks of small blocks, in the layouts in which they occur: NN; NT,
where the right operand is stored transposed, as in y = x·Wᵀ; TN, as in the gradient of a weight. Layers also with a right operand
that was packed before, as frozen weights of 16 bits are, and small products beside gonum.`,
	}
	fs := c.Flags()
	fs.IntSliceVar(&o.Threads, "threads", nil, "use these numbers of threads, one after the other: `N,...`; unset = 1 and GOMAXPROCS, all cores by default")
	fs.DurationVar(&o.Budget, "budget", 250*time.Millisecond, "measure each product for `TIME`, but at least five times")
	fs.StringSliceVar(&o.Kinds, "kind", nil, "measure products of this `KIND,...` only: "+strings.Join(bench.GemmKinds(), ", "))
	fs.BoolVar(&json, "json", false, "print one JSON object")
	return a.command(c, func([]string) error {
		stop, _, done := a.watch("stopping")
		defer done()
		r, err := bench.Gemm(stop, o)
		return a.benchResult(r, err, json)
	})
}

// benchResult is what a benchmark returns.
type benchResult interface{ WriteText(io.Writer) error }

// benchResult prints a result, or tells a wrong usage from a failure.
func (a *app) benchResult(r benchResult, err error, json bool) error {
	var usage bench.UsageError
	switch {
	case errors.As(err, &usage):
		return usageError{err}
	case err != nil:
		return err
	case json:
		return writeJSON(a.stdout, r)
	}
	return r.WriteText(a.stdout)
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
	fs.IntVar(&o.Threads, "threads", 0, "use `N` threads; 0 = GOMAXPROCS, all cores by default")
	fs.IntVar(&o.Steps, "steps", 10, "measure `N` steps")
	fs.IntVar(&o.Warmup, "warmup", 3, "after `N` that do not count")
	fs.StringArrayVar(&o.Sets, "set", nil, "change a setting as in a config for train: `KEY=VALUE` of adapter, optimizer, or batch sizes; may be repeated")
	fs.BoolVar(&json, "json", false, "print one JSON object")
	return a.command(c, func([]string) error {
		o.Sets = append([]string{"optimizer.name=" + optimizer, fmt.Sprintf("optimizer.lr=%g", lr)}, o.Sets...)
		stop, _, done := a.watch("stopping")
		defer done()
		r, err := bench.Step(stop, o)
		return a.benchResult(r, err, json)
	}, "preset")
}
