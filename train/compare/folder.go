package compare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/geotune/geotune/internal/names"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// resolved returns the text that identifies what a run does: its config with every default, apart from the folder.
func resolved(cfg *train.Config) (string, error) {
	c := *cfg
	c.Out = "."
	text, err := c.YAML()
	return string(text), err
}

// changedError says that a folder holds a run of another config.
type changedError struct{ dir, difference string }

func (e *changedError) Error() string {
	return fmt.Sprintf("compare: %s holds a run of another config: %s", e.dir, e.difference)
}

// inspect looks into the folder of a run: it returns the outcome of a finished one, nil of one that is still to be done or to be
// continued, and a changedError if the run there is another one.
func inspect(cfg *train.Config) (*Outcome, error) {
	path := filepath.Join(cfg.Out, run.ConfigFile)
	there, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	want, err := resolved(cfg)
	if err != nil {
		return nil, err
	}
	found := string(there)
	// Read and written again, it has the defaults that came with later versions of the program.
	if c, err := train.ParseConfig(path, there, nil); err == nil {
		if found, err = resolved(c); err != nil {
			return nil, err
		}
	}
	if found != want {
		return nil, &changedError{cfg.Out, difference(found, want)}
	}
	var o Outcome
	finished, err := readJSON(filepath.Join(cfg.Out, outcomeFile), &o)
	if err != nil || !finished {
		return nil, err
	}
	return &o, nil
}

// difference tells in a few words how two configs differ.
func difference(found, want string) string {
	there, err := settings(run.ConfigFile, found)
	if err != nil {
		return err.Error()
	}
	here, err := settings(run.ConfigFile, want)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("there %s, here %s", without(there, here), without(here, there))
}

// without names the settings of list that are not in other, the first few of them; names come first, which explain the others.
func without(list, other []setting) string {
	known := map[string]bool{}
	for _, s := range other {
		known[s.String()] = true
	}
	var out, more []string
	for _, s := range list {
		switch text := s.String(); {
		case known[text]:
		case strings.HasSuffix(s.key, ".name"):
			out = append(out, text)
		default:
			more = append(more, text)
		}
	}
	if out = append(out, more...); len(out) == 0 {
		return "nothing"
	}
	return names.Few(out, 3)
}

// remove takes a run's folder away at once, so that no mixture of two runs is left when the process ends in between.
func remove(dir string) error {
	old := dir + ".removed"
	for _, err := range []error{os.RemoveAll(old), os.Rename(dir, old), os.RemoveAll(old)} {
		if err != nil {
			return fmt.Errorf("compare: %w", err)
		}
	}
	return nil
}
