package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train/compare"
)

// compareFlags are the flags of the compare command.
type compareFlags struct {
	config                     string
	sets                       []string
	rerun, dryRun, quiet, json bool
}

func (a *app) compareCommand() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare -c FILE [--set KEY=VALUE]... [--dry-run] [--rerun] [--json] [--quiet]",
		Short: "Compare optimizers, initialisations and adapters on the same data",
		Example: `  geotune compare -c builtin:compare-quickstart.yaml --dry-run
  geotune compare -c builtin:compare-quickstart.yaml
  geotune compare -c compare.yaml --set seeds=[1,2,3] --set set.train.steps=50 --set out=runs/short
  geotune compare -c compare.yaml --json`,
		Long: `Trains every variant with every learning rate of its grid, goes on with the best one, and prints a table: held-out loss with its spread
over seeds, steps and time to the baseline's best loss, time and optimizer's share of a step, memory. The folder, out in the file,
gets the table as text, CSV and JSON, a page with curves, report.html, and all runs. The same command continues what was interrupted:
finished runs are not done again. --set set.KEY=VALUE changes the training config of all variants as train --set KEY=VALUE does; of several
for one value, the last counts. Ctrl-C once finishes the steps in progress and saves, twice saves at once, a third time gives up.`,
	}
	c.Flags().StringVarP(&f.config, "config", "c", "", "comparison `FILE` in YAML, or builtin:compare-quickstart.yaml")
	c.Flags().StringArrayVar(&f.sets, "set", nil, "override a value of the file: `KEY=VALUE`; may be repeated")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the runs and about how long they take; write nothing")
	c.Flags().BoolVar(&f.rerun, "rerun", false, "remove runs that were made by another config and do them again")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "show no progress")
	if err := c.MarkFlagFilename("config", "yaml", "yml", "json"); err != nil {
		panic(err) // the flag exists
	}
	return a.command(c, func([]string) error { return a.compare(&f) }, "config")
}

func (a *app) compare(f *compareFlags) error {
	for _, s := range f.sets {
		if !strings.Contains(s, "=") {
			return usagef("--set %s: expected KEY=VALUE, such as parallel=2", s)
		}
	}
	path, err := configs.Resolve(f.config)
	if err != nil {
		return err
	}
	p, err := compare.Load(path, f.sets)
	if err != nil {
		return err
	}
	finish, stop, done := a.watch("finishing the steps in progress, then saving; interrupt again to save at once", "saving; interrupt again to give up")
	defer done()
	if f.dryRun {
		return p.Describe(finish, a.stdout)
	}
	r, err := p.Run(finish, stop, compare.Options{Rerun: f.rerun, Log: a.stderr, Terminal: terminal(a.stderr), Quiet: f.quiet})
	if err != nil {
		return err
	}
	paths, err := r.Save(p.Out())
	if err != nil {
		return err
	}
	if !f.quiet {
		fmt.Fprintf(a.stderr, "wrote %s\n", strings.Join(paths, ", "))
	}
	if f.json {
		return writeJSON(a.stdout, r)
	}
	return r.WriteText(a.stdout)
}
