package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteDir replaces the directory at path by one that write fills: write gets a temporary sibling to create files in, all of which are then
// flushed to the disk before the sibling takes the name path. When anything fails, an old directory at path is still there with its old content.
//
// Directories cannot be swapped portably in one step, so an existing one is moved aside first and removed last. A crash between the two renames leaves no
// directory at path but both complete ones beside it; [Cleanup] of the parent folder then brings the old one back.
func WriteDir(path string, write func(dir string) error) (err error) {
	path = filepath.Clean(path)
	tmp := sibling(path, tmpMark)
	defer func() {
		if err != nil {
			err = fmt.Errorf("atomicfile: write directory %s: %w", path, errors.Join(err, discard(tmp)))
		}
	}()
	if err := step(Create, tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o777); err != nil {
		return err
	}
	if err := write(tmp); err != nil {
		return err
	}
	if err := syncTree(tmp); err != nil {
		return err
	}
	return replaceDir(tmp, path)
}

// replaceDir gives the complete directory tmp the name path.
func replaceDir(tmp, path string) error {
	parent := filepath.Dir(path)
	switch st, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := rename(tmp, path); err != nil {
			return err
		}
		return syncDir(parent)
	case err != nil:
		return err
	case !st.IsDir():
		return fmt.Errorf("%s exists and is no directory; remove it or choose another name", path)
	}
	old := sibling(path, oldMark)
	if err := rename(path, old); err != nil {
		return err
	}
	if err := rename(tmp, path); err != nil {
		return errors.Join(err, rename(old, path))
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	return discard(old)
}

// syncTree flushes every file and directory below root to the disk, children before their folder.
func syncTree(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		switch {
		case e.IsDir():
			err = syncTree(path)
		case e.Type().IsRegular():
			err = syncPath(path)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(root)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(syncFile(f), f.Close())
}

// syncDir makes renames and new names in a directory durable. Windows cannot flush a directory and journals its names itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return syncPath(dir)
}
