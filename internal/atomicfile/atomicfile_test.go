package atomicfile_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/internal/atomicfile"
)

var errInjected = errors.New("injected")

// failFrom fails operations from the i-th on; only that one when once is set.
func failFrom(i int, once bool) (h atomicfile.Hook, count *int) {
	count = new(int)
	return func(atomicfile.Op, string) error {
		*count++
		if *count == i || (*count > i && !once) {
			return errInjected
		}
		return nil
	}, count
}

// content is large enough to need several writes of the buffer.
func content(tag string) string { return strings.Repeat(tag+"\n", 40000) }

func writeFile(path, text string) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		for len(text) > 0 {
			n := min(len(text), 1000)
			if _, err := io.WriteString(w, text[:n]); err != nil {
				return err
			}
			text = text[n:]
		}
		return nil
	})
}

// writeDir writes two files, one of them atomically in a subfolder, as checkpoints do.
func writeDir(path, text string) error {
	return atomicfile.WriteDir(path, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte(text), 0o666); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, "sub", "b"), text)
	})
}

func readFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}

// readDir returns the text that both files hold.
func readDir(path string) (string, error) {
	a, err := readFile(filepath.Join(path, "a"))
	if err != nil {
		return "", err
	}
	b, err := readFile(filepath.Join(path, "sub", "b"))
	if err != nil {
		return "", err
	}
	if a != b {
		return "", errors.New("mixed content")
	}
	return a, nil
}

var kinds = []struct {
	name  string
	write func(path, text string) error
	read  func(path string) (string, error)
}{
	{"file", writeFile, readFile},
	{"bytes", func(path, text string) error { return atomicfile.WriteBytes(path, []byte(text)) }, readFile},
	{"dir", writeDir, readDir},
}

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteThenReadGivesTheNewContent(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target")
			for _, text := range []string{content("first"), "", content("third")} {
				if err := k.write(path, text); err != nil {
					t.Fatal(err)
				}
				got, err := k.read(path)
				if err != nil || got != text {
					t.Fatalf("read %d bytes, %v; want %d bytes", len(got), err, len(text))
				}
				if n := names(t, dir); len(n) != 1 {
					t.Errorf("folder holds %q, want only the target", n)
				}
			}
		})
	}
}

// forEachFailure runs body with a hook that fails from the i-th operation, for every i that the write of a second version reaches.
func forEachFailure(t *testing.T, once bool, body func(t *testing.T, dir, path string, read func(string) (string, error), old, new string, err error)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			for i := 1; ; i++ {
				dir := t.TempDir()
				path := filepath.Join(dir, "target")
				old, next := content("old"), content("new")
				if err := k.write(path, old); err != nil {
					t.Fatal(err)
				}
				h, count := failFrom(i, once)
				restore := atomicfile.SetHook(h)
				err := k.write(path, next)
				restore()
				if *count < i {
					if i < 6 {
						t.Fatalf("only %d operations were seen", *count)
					}
					return
				}
				t.Run(fmt.Sprint(i), func(t *testing.T) { body(t, dir, path, k.read, old, next, err) })
			}
		})
	}
}

func TestAFailureOfAnyOperationIsReportedAndLeavesOldOrNew(t *testing.T) {
	forEachFailure(t, true, func(t *testing.T, dir, path string, read func(string) (string, error), old, next string, err error) {
		if !errors.Is(err, errInjected) {
			t.Fatalf("error %v, want the injected one", err)
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("error %q does not name the target", err)
		}
		got, err := read(path)
		if err != nil || (got != old && got != next) {
			t.Fatalf("after a failure: %d bytes, %v; want the old or the new content", len(got), err)
		}
	})
}

func TestACrashAtAnyOperationLeavesOldOrNewAfterCleanup(t *testing.T) {
	forEachFailure(t, false, func(t *testing.T, dir, path string, read func(string) (string, error), old, next string, _ error) {
		if err := atomicfile.Cleanup(dir); err != nil {
			t.Fatal(err)
		}
		got, err := read(path)
		if err != nil || (got != old && got != next) {
			t.Fatalf("after a crash: %d bytes, %v; want the old or the new content", len(got), err)
		}
		if n := names(t, dir); len(n) != 1 {
			t.Errorf("folder holds %q after cleanup, want only the target", n)
		}
	})
}

func TestACrashOfAFirstWriteLeavesNothingOrAll(t *testing.T) {
	for _, k := range kinds {
		for i := 1; ; i++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "target")
			h, count := failFrom(i, false)
			restore := atomicfile.SetHook(h)
			_ = k.write(path, content("new")) // the crash's error has no reader
			restore()
			if *count < i {
				break
			}
			if err := atomicfile.Cleanup(dir); err != nil {
				t.Fatal(err)
			}
			got, err := k.read(path)
			if !errors.Is(err, os.ErrNotExist) && (err != nil || got != content("new")) {
				t.Fatalf("%s, crash at %d: %d bytes, %v; want nothing or the new content", k.name, i, len(got), err)
			}
		}
	}
}

func TestAFailingCallbackRemovesTheTemporaryContent(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	want := errors.New("callback")
	err := atomicfile.WriteFile(path, func(w io.Writer) error { _, _ = io.WriteString(w, "half"); return want })
	if !errors.Is(err, want) {
		t.Errorf("file: %v", err)
	}
	err = atomicfile.WriteDir(path, func(d string) error { return errors.Join(want, os.WriteFile(filepath.Join(d, "f"), nil, 0o666)) })
	if !errors.Is(err, want) {
		t.Errorf("directory: %v", err)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("folder holds %q, want nothing", n)
	}
}

func TestWriteFileKeepsPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, "x"); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
}

func TestWriteDirRefusesToReplaceAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("keep"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := writeDir(path, "new"); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("error %v", err)
	}
	if got, err := readFile(path); err != nil || got != "keep" {
		t.Errorf("file holds %q, %v", got, err)
	}
}

func TestCleanupTouchesOnlyItsOwnNames(t *testing.T) {
	dir := t.TempDir()
	keep := []string{"a.tmp", "a.tmp-xyz", "b", "model.tmp-0123456789abcdefg", ".tmp-0123456789abcdef"}
	for _, n := range append(keep, "b.tmp-0123456789abcdef", "b.old-0123456789abcdef") {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := atomicfile.Cleanup(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != len(keep) {
		t.Errorf("folder holds %q, want %q", got, keep)
	}
	if !atomicfile.IsTemp("x/b.tmp-0123456789abcdef") || atomicfile.IsTemp("a.tmp") {
		t.Error("IsTemp disagrees with Cleanup")
	}
}

func ExampleWriteFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "greeting.txt")
	err = atomicfile.WriteFile(path, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, "hello")
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := os.ReadFile(path)
	fmt.Print(string(text), err)
	// Output:
	// hello
	// <nil>
}
