package strictyaml

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzDecode checks that no text panics and that what is accepted is written to a file that decodes to the same.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := defaults()
		if Decode("fuzz", data, &c) != nil {
			return
		}
		out, err := Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again config
		if err := Decode("again", out, &again); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		twice, err := Marshal(again)
		if err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%v\n%s\n%s", err, out, twice)
		}
	})
}

// FuzzSet checks that no override panics.
func FuzzSet(f *testing.F) {
	f.Add("optimizer.lr", "1e-4")
	f.Add("rank_pattern.a.b", "3")
	f.Add("named.a.targets", "[x, 'y']")
	f.Add("extra..", "{a: *b}")
	f.Fuzz(func(t *testing.T, path, value string) {
		c := defaults()
		if err := Set(&c, path, value); err != nil && err.Error() == "" {
			t.Error("empty error")
		}
	})
}
