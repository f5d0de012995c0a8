package bench

import (
	"runtime"
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
	for _, mark := range []string{"nowhere ", "cpu "} {
		if _, err := busyFields("busy_test.go", mark, 0, 8); err == nil {
			t.Errorf("mark %q: numbers in a Go file", mark)
		}
	}
}
