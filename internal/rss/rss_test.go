package rss

import (
	"runtime"
	"testing"
)

func TestPeakCoversWhatWasTouched(t *testing.T) {
	const size = 64 << 20
	before := Peak()
	if before == 0 {
		t.Skipf("%s does not tell the peak", runtime.GOOS)
	}
	block := make([]byte, size+int(before))
	for i := range block {
		block[i] = 1
	}
	if got := Peak(); got < int64(len(block)) {
		t.Errorf("peak %d after touching %d bytes", got, len(block))
	}
	runtime.KeepAlive(block)
}

func TestFormat(t *testing.T) {
	for bytes, want := range map[int64]string{0: "?", 8: "0 KiB", 300 << 10: "300 KiB", 3 << 20: "3.0 MiB", 1500 << 20: "1500 MiB", 20 << 30: "20.0 GiB"} {
		if got := Format(bytes); got != want {
			t.Errorf("Format(%d) = %q, expected %q", bytes, got, want)
		}
	}
}
