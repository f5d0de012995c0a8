package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train"
	trainrun "github.com/geotune/geotune/train/run"
)

// trainFlags are the flags of the train command.
type trainFlags struct {
	config                string
	sets                  []string
	resume, dryRun, quiet bool
}

func (a *app) trainCommand() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use:   "train -c FILE [--set KEY=VALUE]... [--resume] [--dry-run] [--quiet]",
		Short: "Train as a config file says",
		Example: `  geotune train -c builtin:quickstart.yaml
  geotune train -c run.yaml --dry-run
  geotune train -c run.yaml --set optimizer.lr=1e-4 --set out=runs/lower
  geotune train -c run.yaml --resume`,
		Long: `The run's folder, out in the config, gets config.yaml (every default visible), metrics.jsonl (a line a step), checkpoints and the
result. Ctrl-C once finishes the step and saves, twice saves at once, a third time gives up. --resume continues bit for bit.`,
	}
	c.Flags().StringVarP(&f.config, "config", "c", "", "config `FILE` in YAML, or builtin:quickstart.yaml")
	c.Flags().StringArrayVar(&f.sets, "set", nil, "override a value of the config: `KEY=VALUE`; may be repeated")
	c.Flags().BoolVar(&f.resume, "resume", false, "continue from the newest checkpoint in the run's folder")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be trained, in how much memory, and the first sample; write nothing")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "show no progress")
	if err := c.MarkFlagFilename("config", "yaml", "yml", "json"); err != nil {
		panic(err) // the flag exists
	}
	return a.command(c, func([]string) error { return a.train(&f) }, "config")
}

func (a *app) train(f *trainFlags) (err error) {
	for _, s := range f.sets {
		if !strings.Contains(s, "=") {
			return usagef("--set %s: expected KEY=VALUE, such as optimizer.lr=1e-4", s)
		}
	}
	path, err := configs.Resolve(f.config)
	if err != nil {
		return err
	}
	cfg, err := train.LoadConfig(path, f.sets)
	if err != nil {
		return err
	}
	r, err := trainrun.Open(cfg, trainrun.Options{Resume: f.resume, Log: a.stderr, Terminal: terminal(a.stderr), Quiet: f.quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if f.dryRun {
		return r.Plan(a.stdout)
	}
	finish, stop, done := a.watch("finishing the step, then saving; interrupt again to save at once", "saving; interrupt again to give up")
	defer done()
	return r.Train(finish, stop)
}
