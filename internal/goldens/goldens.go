// Package goldens finds the reference results (outputs, gradients, trajectories of the Python libraries) that parity tests compare with.
package goldens

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Env names the environment variable that points at a goldens folder and overrides the search.
const Env = "GEOTUNE_GOLDENS"

// Dir returns the goldens folder: $GEOTUNE_GOLDENS, else the shared folder beside the project, else the curated copy in this
// package's testdata, which every clone has.
func Dir(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv(Env); dir != "" {
		return dir
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("goldens: the location of the source tree is unknown")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	if shared := filepath.Join(root, "..", "shared", "goldens"); isDir(shared) {
		return shared
	}
	return filepath.Join(root, "internal", "goldens", "testdata")
}

// Case returns the folder of one reference case and skips the test where only the curated copy is present and lacks it.
func Case(tb testing.TB, name string) string {
	tb.Helper()
	dir := filepath.Join(Dir(tb), name)
	if !isDir(dir) {
		tb.Skipf("reference case %s is not in the curated copy; set %s to the full goldens folder to run it", name, Env)
	}
	return dir
}

// Match returns the folders of all cases whose name matches a filepath.Match pattern, in lexical order.
func Match(tb testing.TB, pattern string) []string {
	tb.Helper()
	dirs, err := filepath.Glob(filepath.Join(Dir(tb), pattern))
	if err != nil {
		tb.Fatal(err)
	}
	if len(dirs) == 0 {
		tb.Skipf("no reference case matches %s; set %s to the full goldens folder to run it", pattern, Env)
	}
	return dirs
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
