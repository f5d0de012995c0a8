package compare

import (
	"io"
	"os"
	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
)

// The files with results in the folder of a comparison.
const (
	TextFile = "table.txt"
	CSVFile  = "table.csv"
	JSONFile = "results.json"
	HTMLFile = "report.html"
)

// Save writes the results into the folder dir in all forms and returns the paths. Each file appears whole or not at all.
func (r *Results) Save(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{TextFile, r.WriteText}, {CSVFile, r.WriteCSV}, {HTMLFile, r.WriteHTML}} {
		path := filepath.Join(dir, f.name)
		if err := atomicfile.WriteFile(path, f.write); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	path := filepath.Join(dir, JSONFile)
	return append(paths, path), writeJSON(path, r)
}
