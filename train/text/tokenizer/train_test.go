package tokenizer

import (
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// goSource yields the Go files of a directory of the standard library, in lexical order.
func goSource(dir string) iter.Seq[string] {
	return func(yield func(string) bool) {
		root := filepath.Join(runtime.GOROOT(), "src", dir)
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && !yield(string(data)) {
				return fs.SkipAll
			}
			return err
		})
	}
}
