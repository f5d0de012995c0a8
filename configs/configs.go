// Package configs holds what comes with the program: runnable recipes, and a small base model with data to adapt it to. In a config
// and on the command line they are called builtin:NAME, such as builtin:quickstart.yaml and builtin:quickstart/model.
package configs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/internal/names"
)

//go:embed *.yaml quickstart
var assets embed.FS

// Scheme begins the names of what is built in.
const Scheme = "builtin:"

// List returns the names of the recipes, then those of all other files and folders, in lexical order and without Scheme.
func List() []string {
	var recipes, others []string
	// An embedded file system has no errors.
	_ = fs.WalkDir(assets, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
		case path.Ext(name) == ".yaml" && path.Dir(name) == ".":
			recipes = append(recipes, name)
		default:
			others = append(others, name)
		}
		return err
	})
	return append(recipes, others...)
}

// Resolve returns a path of the file system for a name that begins with Scheme, and any other path as it is. The first use of a
// version of the program copies all that is built in to the user's cache folder, or where that cannot be written to, to the system's
// folder for temporary files.
func Resolve(name string) (string, error) {
	asset, ok := strings.CutPrefix(name, Scheme)
	if !ok {
		return name, nil
	}
	if _, err := fs.Stat(assets, asset); err != nil {
		near := names.Nearest(asset, List())
		if near == nil {
			near = List()
		}
		return "", fmt.Errorf("configs: %s is not built in; there is %s%s", name, Scheme, strings.Join(near, ", "+Scheme))
	}
	dir, err := extracted(asset)
	if err != nil {
		return "", fmt.Errorf("configs: %s: %w", name, err)
	}
	return filepath.Join(dir, filepath.FromSlash(asset)), nil
}

// extracted returns a folder that holds a copy of all assets, of which the given one is sure to be whole.
func extracted(asset string) (string, error) {
	var errs []error
	for _, parent := range []func() (string, error){os.UserCacheDir, func() (string, error) { return os.TempDir(), nil }} {
		base, err := parent()
		if err == nil {
			dir := filepath.Join(base, "geotune", contentHash())
			if err = extract(dir, asset); err == nil {
				return dir, nil
			}
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// contentHash identifies the names and contents of all assets.
var contentHash = sync.OnceValue(func() string {
	h := sha256.New()
	_ = eachFile(".", func(name string, data []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16]
})

// eachFile calls do for an asset that is a file, or for all files of one that is a folder.
func eachFile(asset string, do func(name string, data []byte) error) error {
	return fs.WalkDir(assets, asset, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		return do(name, data)
	})
}

// extracting keeps one extraction from replacing the folder that another has just returned.
var extracting sync.Mutex

// errFaster ends an extraction that another process was faster with.
var errFaster = errors.New("another process extracted the files")

// extract makes sure that dir holds an asset. It appears with all of them or not at all, so that several processes may do this at once.
func extract(dir, asset string) error {
	extracting.Lock()
	defer extracting.Unlock()
	if intact(dir, asset) == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	err := atomicfile.WriteDir(dir, func(tmp string) error {
		err := eachFile(".", func(name string, data []byte) error {
			file := filepath.Join(tmp, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				return err
			}
			return os.WriteFile(file, data, 0o600)
		})
		if err == nil && intact(dir, asset) == nil { // do not take the folder away from whoever reads in it
			return errFaster
		}
		return err
	})
	if err != nil && intact(dir, asset) == nil {
		return nil
	}
	return err
}

// intact compares what dir holds of an asset with it: a cache may have been tampered with or cut short. The others are compared when they
// are asked for, since reading all of them takes longer than the start of a small run.
func intact(dir, asset string) error {
	return eachFile(asset, func(name string, data []byte) error {
		found, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err == nil && !bytes.Equal(found, data) {
			err = fmt.Errorf("%s differs from what is built in", name)
		}
		return err
	})
}
