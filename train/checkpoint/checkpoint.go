// Package checkpoint stores the state of a run so that it continues bit for bit. A checkpoint is a directory that appears whole or
// not at all: it is built under a temporary name, a manifest of sizes and SHA-256 sums is written into it last, and only then is it
// renamed. Readers accept a directory only if everything in it agrees with its manifest.
package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/optim"
)

// The files of a checkpoint beside the manifest.
const (
	stateFile     = "state.json"
	pointsFile    = "points.safetensors"
	constantsFile = "constants.safetensors"
	optimizerFile = "optimizer.safetensors"
	gradientsFile = "gradients.safetensors"
)

// Run is what a checkpoint holds of a run.
type Run struct {
	// State is anything that JSON can carry exactly; Load fills the value it points to.
	State any
	// Constants are values that were fixed when the run began and that it could not find again.
	Constants []optim.Tensor
	// Points are the trained values and, where the run stopped between two micro-batches of a step, their gradients.
	Points    []optim.Point
	Gradients bool
	Optimizer *optim.Optimizer
	// Extra, when set, adds files for people and other programs to the directory, such as the adapter in a portable format.
	Extra func(dir string) error
}

// Save writes the checkpoint of a step below dir and returns its path, dir/step-N.
func Save(dir string, step int, r Run) (string, error) {
	path := filepath.Join(dir, "step-"+strconv.Itoa(step))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	err := atomicfile.WriteDir(path, func(tmp string) error {
		if err := r.write(tmp); err != nil {
			return err
		}
		if r.Extra != nil {
			if err := r.Extra(tmp); err != nil {
				return err
			}
		}
		return writeManifest(tmp)
	})
	if err != nil {
		return "", fmt.Errorf("checkpoint: step %d: %w", step, err)
	}
	return path, nil
}

func (r Run) write(dir string) error {
	state, err := json.MarshalIndent(r.State, "", "  ")
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile), append(state, '\n'), 0o666); err != nil {
		return err
	}
	if len(r.Constants) > 0 {
		if err := safetensors.Write(filepath.Join(dir, constantsFile), stored(r.Constants, value), nil); err != nil {
			return err
		}
	}
	if err := safetensors.Write(filepath.Join(dir, pointsFile), stored(r.trained(), value), nil); err != nil {
		return err
	}
	if r.Gradients {
		if err := safetensors.Write(filepath.Join(dir, gradientsFile), stored(r.trained(), gradient), nil); err != nil {
			return err
		}
	}
	var arrays []safetensors.Tensor
	for _, a := range r.Optimizer.State() {
		arrays = append(arrays, encode(a))
	}
	return safetensors.Write(filepath.Join(dir, optimizerFile), arrays, nil)
}

func value(t optim.Tensor) *kernel.Tensor    { return t.Value }
func gradient(t optim.Tensor) *kernel.Tensor { return t.Grad }

// trained returns the tensors of all points.
func (r Run) trained() []optim.Tensor {
	var out []optim.Tensor
	for _, p := range r.Points {
		out = append(out, p.Tensors()...)
	}
	return out
}

// stored returns values or gradients as a file holds them.
func stored(tensors []optim.Tensor, which func(optim.Tensor) *kernel.Tensor) []safetensors.Tensor {
	var out []safetensors.Tensor
	for _, t := range tensors {
		if x := which(t); x != nil {
			out = append(out, safetensors.Floats(t.Name, safetensors.F32, x.Shape, x.F32))
		}
	}
	return out
}

// Load puts the checkpoint at path back into r, after it has verified the manifest.
func Load(path string, r Run) error {
	if err := Verify(path); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(path, stateFile))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := json.Unmarshal(data, r.State); err != nil {
		return fmt.Errorf("checkpoint: %s: %w", filepath.Join(path, stateFile), err)
	}
	if err := r.loadOptimizer(filepath.Join(path, optimizerFile)); err != nil {
		return err
	}
	err = loadTensors(filepath.Join(path, constantsFile), r.Constants, value)
	if err != nil && !(len(r.Constants) == 0 && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	if err := loadTensors(filepath.Join(path, pointsFile), r.trained(), value); err != nil {
		return err
	}
	err = loadTensors(filepath.Join(path, gradientsFile), r.trained(), gradient)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// loadTensors reads exactly the given values or gradients from a file.
func loadTensors(path string, tensors []optim.Tensor, which func(optim.Tensor) *kernel.Tensor) error {
	set, err := safetensors.Open(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer set.Close()
	wanted := 0
	for _, t := range tensors {
		x := which(t)
		if x == nil {
			continue
		}
		wanted++
		v, err := set.Float32(t.Name)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		if len(v) != len(x.F32) {
			return fmt.Errorf("checkpoint: %s: tensor %q has %d values, the run has %d; the config has changed", path, t.Name, len(v), len(x.F32))
		}
		copy(x.F32, v)
	}
	if wanted != set.Len() {
		return fmt.Errorf("checkpoint: %s holds %d tensors, the run has %d; the config has changed", path, set.Len(), wanted)
	}
	return nil
}

func (r Run) loadOptimizer(path string) error {
	set, err := safetensors.Open(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer set.Close()
	var arrays []optim.Array
	for _, name := range set.Names() {
		a, err := decode(set, name)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		arrays = append(arrays, a)
	}
	if err := r.Optimizer.Load(arrays); err != nil {
		return fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	return nil
}

// Latest returns the checkpoint below dir with the highest step that is whole, and the errors of newer ones that are not. It
// returns "" where there is none.
func Latest(dir string) (path string, broken []error) {
	if err := atomicfile.Cleanup(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		broken = append(broken, err)
	}
	for _, step := range steps(dir) {
		path := filepath.Join(dir, "step-"+strconv.Itoa(step))
		err := Verify(path)
		if err == nil {
			return path, broken
		}
		broken = append(broken, err)
	}
	return "", broken
}

// Prune removes the oldest checkpoints below dir until keep are left; 0 keeps all. Those whose step is listed are never removed.
func Prune(dir string, keep int, except ...int) error {
	if keep <= 0 {
		return nil
	}
	kept := 0
	for _, step := range steps(dir) {
		if kept < keep || slices.Contains(except, step) {
			kept++
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, "step-"+strconv.Itoa(step))); err != nil {
			return fmt.Errorf("checkpoint: remove an old one: %w", err)
		}
	}
	return nil
}

// steps lists the steps of the checkpoints below dir, newest first.
func steps(dir string) []int {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "step-")
		if n, err := strconv.Atoi(digits); ok && err == nil && n >= 0 && e.IsDir() {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return b - a })
	return out
}
