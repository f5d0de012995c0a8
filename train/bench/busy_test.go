package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestOwnWorkIsNotThatOfOthers(t *testing.T) {
	b := busyNow()
	if !b.known {
		t.Skipf("%s does not tell", runtime.GOOS)
	}
	peak(1)
	for time.Since(b.at) < 200*time.Millisecond {
	}
	now := busyNow()
	if own := now.own - b.own; own < 0.1 {
		t.Errorf("%v seconds of own work, expected about 0.2", own)
	}
	if o := b.others(); o == nil || *o < 0 || *o > float64(runtime.NumCPU()) {
		t.Errorf("others kept %v of %d cores busy", o, runtime.NumCPU())
	}
}

func TestFieldsAreFoundBehindTheProgramsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stat")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		text, mark string
		lo, hi     int
		want       []float64
	}{
		{"7 (a) b) S 1 2 3 4\n(c) R 9 9 9 9\n", ") ", 1, 4, []float64{1, 2, 3}},
		{"cpu  10 20 30\ncpu0 1 2 3\n", "cpu ", 0, 2, []float64{10, 20}},
		{"cpu  10 20\n", "cpu ", 0, 4, nil},
		{"cpu  10 x 30\n", "cpu ", 0, 2, nil},
		{"cpu  10 20 30\n", "other ", 0, 2, nil},
	} {
		write(c.text)
		if got, err := busyFields(path, c.mark, c.lo, c.hi); !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%q behind %q: found %v, %v; want %v", c.text, c.mark, got, err, c.want)
		}
	}
}
