package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/layers/transformer"
)

// modelFlags name a model and an adapter on it.
type modelFlags struct {
	model, adapter string
	args           map[string]string
}

func (f *modelFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.model, "model", "", "`DIR` of a Hugging Face model, or builtin:quickstart/model")
	c.Flags().StringVar(&f.adapter, "adapter", "", "`PATH` of an adapter to put on the model: a directory or a safetensors file")
	addAdapterArgs(c, &f.args)
	markDirectory(c, "model")
}

// addAdapterArgs adds the flag that says what a bare adapter file cannot.
func addAdapterArgs(c *cobra.Command, args *map[string]string) {
	c.Flags().StringToStringVar(args, "adapter-args", nil, "what a bare adapter file does not say, as `KEY=VALUE,...` such as alpha=16")
	c.Flags().Lookup("adapter-args").DefValue = ""
}

// markDirectory lets shells complete a flag with directories.
func markDirectory(c *cobra.Command, flag string) {
	if err := c.MarkFlagDirname(flag); err != nil {
		panic(err) // the flag exists
	}
}

// loaded is an open model with its adapter, if there is one.
type loaded struct {
	*transformer.Model
	dir     string
	adapter *adapters.Adapter // nil for none
}

// open loads the model and puts the adapter on it. Notes about the adapter go to stderr.
func (f *modelFlags) open(a *app) (*loaded, error) {
	if f.adapter == "" && len(f.args) > 0 {
		return nil, usagef("--adapter-args %s without --adapter", strings.Join(slices.Sorted(maps.Keys(f.args)), ","))
	}
	dir, err := configs.Resolve(f.model)
	if err != nil {
		return nil, err
	}
	m, err := transformer.Open(dir)
	if err != nil {
		return nil, err
	}
	l := &loaded{Model: m, dir: dir}
	if f.adapter == "" {
		return l, nil
	}
	if l.adapter, err = f.attach(m); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	for _, note := range l.adapter.Notes() {
		fmt.Fprintf(a.stderr, "note: %s\n", note)
	}
	return l, nil
}

func (f *modelFlags) attach(m *transformer.Model) (*adapters.Adapter, error) {
	path, err := configs.Resolve(f.adapter)
	if err != nil {
		return nil, err
	}
	file, err := formats.Read(path, f.args)
	if err != nil {
		return nil, err
	}
	return adapters.AttachFile(m, file, nil)
}

// empty refuses an output path that would replace something.
func empty(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err == nil:
		return fmt.Errorf("%s is not empty; remove it or choose another folder", path)
	}
	return err
}
