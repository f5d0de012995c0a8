package checkpoint_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train/checkpoint"
)

type state struct{ Step int }

// newRun returns a run of two points, one step of AdamW behind it.
func newRun(t *testing.T) checkpoint.Run {
	t.Helper()
	var points []optim.Point
	for i, name := range []string{"a.lora_A.weight", "a.lora_B.weight"} {
		v, g := kernel.New(3, 2), kernel.New(3, 2)
		for j := range v.F32 {
			v.F32[j], g.F32[j] = float32(i+j), float32(j-i)
		}
		points = append(points, optim.NewEuclidean(optim.Tensor{Name: name, Value: v, Grad: g}))
	}
	rule, err := optim.NewRule("adamw")
	if err != nil {
		t.Fatal(err)
	}
	opt, err := optim.New(rule, points, optim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opt.Step(0.1); err != nil {
		t.Fatal(err)
	}
	return checkpoint.Run{State: &state{7}, Points: points, Optimizer: opt}
}

func values(r checkpoint.Run) []float32 {
	var out []float32
	for _, p := range r.Points {
		for _, t := range p.Tensors() {
			out = append(append(out, t.Value.F32...), t.Grad.F32...)
		}
	}
	for _, a := range r.Optimizer.State() {
		out = append(out, a.F32...)
	}
	return out
}

func TestLoadPutsBackWhatSaveStored(t *testing.T) {
	r := newRun(t)
	r.Gradients = true
	path, err := checkpoint.Save(t.TempDir(), 7, r)
	if err != nil {
		t.Fatal(err)
	}
	want := values(r)
	other := newRun(t)
	for _, p := range other.Points {
		clear(p.Tensors()[0].Value.F32)
		clear(p.Tensors()[0].Grad.F32)
	}
	if _, err := other.Optimizer.Step(0.3); err != nil {
		t.Fatal(err)
	}
	other.State = &state{}
	if err := checkpoint.Load(path, other); err != nil {
		t.Fatal(err)
	}
	if got := values(other); !slices.Equal(got, want) {
		t.Errorf("found %v, stored %v", got, want)
	}
	if s := other.State.(*state); s.Step != 7 {
		t.Errorf("state %+v, stored step 7", s)
	}
}

// TestDamageIsNoticed flips, cuts, removes and adds bytes and files; the newest whole checkpoint is found each time.
func TestDamageIsNoticed(t *testing.T) {
	damage := map[string]func(path string) error{
		"flip": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 1
			return os.WriteFile(path, data, 0o666)
		},
		"cut":    func(path string) error { return os.Truncate(path, 5) },
		"remove": os.Remove,
	}
	for kind, harm := range damage {
		for _, file := range []string{"state.json", "points.safetensors", "optimizer.safetensors", "manifest.json"} {
			dir := t.TempDir()
			for _, step := range []int{3, 12} {
				if _, err := checkpoint.Save(dir, step, newRun(t)); err != nil {
					t.Fatal(err)
				}
			}
			if err := harm(filepath.Join(dir, "step-12", file)); err != nil {
				t.Fatal(err)
			}
			path, broken := checkpoint.Latest(dir)
			if !strings.HasSuffix(path, "step-3") || len(broken) != 1 {
				t.Errorf("%s of %s: latest %q, errors %v; expected step-3 and one error", kind, file, path, broken)
			}
			if err := checkpoint.Load(filepath.Join(dir, "step-12"), newRun(t)); err == nil {
				t.Errorf("%s of %s: the damaged checkpoint was loaded", kind, file)
			}
		}
	}
}

func TestAnAddedFileIsNoticed(t *testing.T) {
	dir := t.TempDir()
	path, err := checkpoint.Save(dir, 1, newRun(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "points2.safetensors"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Verify(path); err == nil || !strings.Contains(err.Error(), "points2.safetensors is not in the manifest") {
		t.Errorf("found error %v", err)
	}
}

// TestACrashAtAnyWriteLeavesAWholeCheckpoint fails the n-th file operation of a save, for all n.
func TestACrashAtAnyWriteLeavesAWholeCheckpoint(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		if _, err := checkpoint.Save(dir, 1, newRun(t)); err != nil {
			t.Fatal(err)
		}
		calls := 0
		restore := atomicfile.SetHook(func(atomicfile.Op, string) error {
			if calls++; calls >= n {
				return os.ErrDeadlineExceeded
			}
			return nil
		})
		_, err := checkpoint.Save(dir, 2, newRun(t))
		restore()
		path, broken := checkpoint.Latest(dir)
		if broken != nil {
			t.Fatalf("failure of operation %d leaves %v", n, broken)
		}
		want := "step-1"
		if err == nil {
			want = "step-2"
		}
		if filepath.Base(path) != want && !(err != nil && filepath.Base(path) == "step-2") {
			t.Fatalf("failure of operation %d: save says %v, latest is %q", n, err, path)
		}
		if err == nil {
			if n < 5 {
				t.Fatalf("a save has only %d operations", n)
			}
			return
		}
	}
}

func TestPruneKeepsTheNewestAndTheExceptions(t *testing.T) {
	dir := t.TempDir()
	for step := 1; step <= 5; step++ {
		if _, err := checkpoint.Save(dir, step, newRun(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkpoint.Prune(dir, 2, 2); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := []string{"step-2", "step-4", "step-5"}; !slices.Equal(got, want) {
		t.Errorf("found %v, expected %v", got, want)
	}
}

func TestAnotherShapeIsRefused(t *testing.T) {
	path, err := checkpoint.Save(t.TempDir(), 1, newRun(t))
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(t)
	r.Points = r.Points[:1]
	if err := checkpoint.Load(path, r); err == nil || !strings.Contains(err.Error(), "config has changed") {
		t.Errorf("found error %v", err)
	}
}
