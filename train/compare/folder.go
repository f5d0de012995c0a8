package compare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	a, b := settings(found), settings(want)
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
	}
	was, is := without(a, b), without(b, a)
	short := func(list []string) string {
		const most = 3
		if len(list) == 0 {
			return "nothing"
		}
		if len(list) > most {
			list = append(slices.Clone(list[:most]), "...")
		}
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("there %s, here %s", short(was), short(is))
}

// settings returns the lines of a resolved config, each with its section.
func settings(text string) []string {
	var out []string
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, " ") {
			section = strings.TrimSuffix(line, ":")
			if strings.Contains(line, ": ") {
				out = append(out, line)
			}
			continue
		}
		out = append(out, section+"."+strings.TrimSpace(line))
	}
	return out
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
