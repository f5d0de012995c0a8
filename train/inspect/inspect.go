// Package inspect recognises models, adapters, checkpoints and safetensors files and tells what they hold.
package inspect

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/train/checkpoint"
)

// Description tells what was found. As JSON it is one object.
type Description interface {
	WriteText(w io.Writer) error
}

// Describe recognises what is at path. args say what a bare adapter file cannot (see formats.Read); they are refused for anything
// else.
func Describe(path string, args map[string]string) (Description, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	kind, err := recognise(path, st.IsDir())
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	if kind != kindAdapter && len(args) > 0 {
		return nil, fmt.Errorf("inspect: %s is no adapter, so that adapter arguments mean nothing; leave them out", path)
	}
	switch kind {
	case kindCheckpoint:
		return described(checkpoint.Describe(path))
	case kindModel:
		return described(describeModel(path))
	case kindAdapter:
		return described(formats.Describe(path, args))
	}
	return described(describeTensors(path))
}

// described keeps a nil pointer out of the interface.
func described[D Description](d D, err error) (Description, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// kind is what a path holds.
type kind int

const (
	kindTensors kind = iota
	kindAdapter
	kindModel
	kindCheckpoint
)

func recognise(path string, dir bool) (kind, error) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(path, name))
		return err == nil
	}
	switch {
	case !dir:
		return recogniseFile(path)
	case checkpoint.IsCheckpoint(path):
		return kindCheckpoint, nil
	case has(formats.ConfigFile):
		return kindAdapter, nil
	case has("config.json"):
		return kindModel, nil
	case has("metrics.jsonl") && has("config.yaml"):
		return 0, fmt.Errorf("%s is the folder of a run; inspect %s or a folder in %s", path, filepath.Join(path, "adapter"), filepath.Join(path, "checkpoints"))
	}
	set, err := safetensors.OpenAny(path)
	if err != nil {
		return 0, fmt.Errorf("%s holds no model, adapter, checkpoint or safetensors file: %w", path, err)
	}
	return recogniseSet(set), set.Close()
}

func recogniseFile(path string) (kind, error) {
	set, err := safetensors.Open(path)
	if err != nil {
		return 0, err
	}
	return recogniseSet(set), set.Close()
}

// recogniseSet tells adapters from other tensors, such as gradients of adapters, by the ends and beginnings of their names.
func recogniseSet(set *safetensors.Set) kind {
	found := kindTensors
	for _, name := range set.Names() {
		switch {
		case strings.HasPrefix(name, "grad."):
			return kindTensors
		case formats.ParseKey(name).Kind != formats.KindPlain:
			found = kindAdapter
		}
	}
	return found
}
