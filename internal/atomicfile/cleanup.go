package atomicfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The marks between a target's name and the random suffix: new content under construction, old content moved aside.
const (
	tmpMark = ".tmp-"
	oldMark = ".old-"
)

var siblingName = regexp.MustCompile(`^(.+)(\.tmp-|\.old-)[0-9a-f]{16}$`)

// sibling returns a fresh name beside path.
func sibling(path, mark string) string {
	var b [8]byte
	rand.Read(b[:]) // never fails, see crypto/rand.Read
	return path + mark + hex.EncodeToString(b[:])
}

// IsTemp reports whether name is one that this package gives to unfinished or displaced content; readers of a folder skip these.
func IsTemp(name string) bool { return siblingName.MatchString(filepath.Base(name)) }

// Cleanup removes what interrupted writes left in dir (not in its subfolders), and gives an old directory its name back where the crash came before the new one
// took it. Call it before reading a folder that a killed process may have written; no other process may be writing there.
func Cleanup(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("atomicfile: clean up: %w", err)
	}
	var errs []error
	for _, e := range entries {
		m := siblingName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		left, target := filepath.Join(dir, e.Name()), filepath.Join(dir, m[1])
		if _, err := os.Lstat(target); m[2] == oldMark && errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, rename(left, target))
			continue
		}
		errs = append(errs, discard(left))
	}
	errs = append(errs, syncDir(dir))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("atomicfile: clean up %s: %w", dir, err)
	}
	return nil
}
