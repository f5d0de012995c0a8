// Package atomicfile writes files and directories so that a crash at any moment leaves the old content or the new content, never a mixture:
// everything goes to a temporary sibling, is flushed to the disk, and takes its final name by a rename.
//
// Temporary siblings carry the name of their target and a random suffix, "model.safetensors.tmp-0123456789abcdef". Failed writes remove
// theirs; those of a killed process stay until [Cleanup] is called for the folder.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// bufferSize collects the small writes of encoders; larger ones pass through.
const bufferSize = 1 << 16

// WriteFile replaces the file at path by what write produces. The file appears under its name only after all of it is on the disk; when
// write or any step after it fails, the old file is untouched and the temporary one is gone. An existing file's permissions are kept.
// A symbolic link at path is replaced, not followed.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	tmp := sibling(path, tmpMark)
	defer func() {
		if err != nil {
			err = fmt.Errorf("atomicfile: write %s: %w", path, errors.Join(err, discard(tmp)))
		}
	}()
	if err := fill(tmp, permissions(path), write); err != nil {
		return err
	}
	if err := rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// WriteBytes is [WriteFile] for content that is at hand.
func WriteBytes(path string, data []byte) error {
	return WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// permissions returns the mode of an existing regular file, else the default that the process's umask cuts down.
func permissions(path string) os.FileMode {
	if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() {
		return st.Mode().Perm()
	}
	return 0o666
}

// fill creates the file at path and flushes to the disk what write produces.
func fill(path string, mode os.FileMode, write func(io.Writer) error) error {
	if err := step(Create, path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(hookedFile{f}, bufferSize)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = syncFile(f)
	}
	return errors.Join(err, f.Close())
}

// hookedFile announces each write before it happens. An announced write that the hook fails leaves half of its bytes, as a full disk would.
type hookedFile struct{ f *os.File }

func (h hookedFile) Write(p []byte) (int, error) {
	if err := step(Write, h.f.Name()); err != nil {
		n, _ := h.f.Write(p[:len(p)/2])
		return n, err
	}
	return h.f.Write(p)
}

func syncFile(f *os.File) error {
	if err := step(Sync, f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

func rename(from, to string) error {
	if err := step(Rename, to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// discard removes a temporary file or tree; nothing there is no error.
func discard(path string) error {
	if err := step(Remove, path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
