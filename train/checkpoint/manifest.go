package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
)

const manifestFile = "manifest.json"

// manifest lists all other files of a checkpoint.
type manifest struct {
	Files map[string]sum `json:"files"` // by slash-separated path below the directory
}

type sum struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func writeManifest(dir string) error {
	files, err := sums(dir)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(manifest{files}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, manifestFile), append(data, '\n'))
}

// Verify reads the whole checkpoint at path and compares it with its manifest: no file missing, added, cut or changed.
func Verify(path string) error {
	data, err := os.ReadFile(filepath.Join(path, manifestFile))
	if err != nil {
		return fmt.Errorf("checkpoint: %s is not complete: %w", path, err)
	}
	var want manifest
	if err := json.Unmarshal(data, &want); err != nil {
		return fmt.Errorf("checkpoint: %s: %w", filepath.Join(path, manifestFile), err)
	}
	found, err := sums(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %s: %w", path, err)
	}
	for name, w := range want.Files {
		if f, ok := found[name]; !ok || f != w {
			return fmt.Errorf("checkpoint: %s: %s is missing or damaged: found %+v, the manifest says %+v", path, name, f, w)
		}
	}
	for name := range found {
		if _, ok := want.Files[name]; !ok {
			return fmt.Errorf("checkpoint: %s: %s is not in the manifest", path, name)
		}
	}
	return nil
}

// sums returns size and hash of every file below dir except the manifest.
func sums(dir string) (map[string]sum, error) {
	files := map[string]sum{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == manifestFile {
			return err
		}
		s, err := hashFile(path)
		files[filepath.ToSlash(name)] = s
		return err
	})
	return files, err
}

func hashFile(path string) (sum, error) {
	f, err := os.Open(path)
	if err != nil {
		return sum{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return sum{n, hex.EncodeToString(h.Sum(nil))}, err
}
