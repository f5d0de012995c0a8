package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/geotune/geotune/internal/safetensors"
)

// Description is what the inspect command tells about a checkpoint.
type Description struct {
	Path string `json:"path"`
	// State is the stored state.
	State json.RawMessage `json:"state"`
	// Trained and Values count the trained tensors and their elements, Moments those of the optimizer's state.
	Trained int `json:"trained"`
	Values  int `json:"values"`
	Moments int `json:"optimizer_values"`
	// Gradients tells that the run stopped in the middle of a step.
	Gradients bool             `json:"gradients"`
	Files     map[string]int64 `json:"files"` // sizes by path
}

// IsCheckpoint reports whether dir looks like a checkpoint, whole or not.
func IsCheckpoint(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateFile))
	return err == nil
}

// Describe verifies the checkpoint at path and measures it.
func Describe(path string) (*Description, error) {
	if err := Verify(path); err != nil {
		return nil, err
	}
	d := &Description{Path: path, Files: map[string]int64{}}
	files, err := sums(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	for name, s := range files {
		d.Files[name] = s.Size
	}
	if d.State, err = os.ReadFile(filepath.Join(path, stateFile)); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if !json.Valid(d.State) {
		return nil, fmt.Errorf("checkpoint: %s is not valid JSON", filepath.Join(path, stateFile))
	}
	if d.Trained, d.Values, err = count(filepath.Join(path, pointsFile)); err != nil {
		return nil, err
	}
	if _, d.Moments, err = count(filepath.Join(path, optimizerFile)); err != nil {
		return nil, err
	}
	_, err = os.Stat(filepath.Join(path, gradientsFile))
	if d.Gradients = err == nil; err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return d, nil
}

// count returns the number of tensors of a file and of their elements.
func count(path string) (tensors, values int, err error) {
	set, err := safetensors.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("checkpoint: %w", err)
	}
	defer set.Close()
	for _, name := range set.Names() {
		info, _ := set.Info(name)
		values += info.Elements()
	}
	return set.Len(), values, nil
}

// WriteText writes the description for a reader at a terminal.
func (d *Description) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s: checkpoint, whole\n", d.Path)
	fmt.Fprintf(w, "trained    %d tensors, %d values; optimizer %d values\n", d.Trained, d.Values, d.Moments)
	if d.Gradients {
		fmt.Fprintln(w, "stopped    in the middle of a step, gradients included")
	}
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		fmt.Fprintf(w, "%10d  %s\n", d.Files[name], name)
	}
	_, err := fmt.Fprintf(w, "state      %s", d.State)
	return err
}
