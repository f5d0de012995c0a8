package train_test

import (
	"testing"
	"time"

	"github.com/geotune/geotune/train"
)

func TestDurationsAndCountsAreToldShortly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0s", 1234 * time.Millisecond: "1.2s", 9960 * time.Millisecond: "10s", 12600 * time.Millisecond: "13s", 59700 * time.Millisecond: "1m00s",
		185 * time.Second: "3m05s", 3599700 * time.Millisecond: "1h00m", 130 * time.Minute: "2h10m",
	} {
		if got := train.Short(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 batches", 1: "1 batch", 2: "2 batches"} {
		if got := train.Counted(n, "batch", "batches"); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
