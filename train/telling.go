package train

import (
	"fmt"
	"time"
)

// Short tells people a duration: 4.2s, 42s, 3m05s or 2h10m.
func Short(d time.Duration) string {
	if d = d.Round(time.Second / 10); d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Counted tells people a number of things: "1 layer", "3 layers".
func Counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
