// Package rss tells how much memory the process has used at most.
package rss

import "fmt"

// Format prints a number of bytes in KiB, MiB or GiB; 0, which stands for unknown, as "?".
func Format(bytes int64) string {
	switch mib := float64(bytes) / (1 << 20); {
	case bytes == 0:
		return "?"
	case mib >= 10240:
		return fmt.Sprintf("%.1f GiB", mib/1024)
	case mib >= 10:
		return fmt.Sprintf("%.0f MiB", mib)
	case mib >= 1:
		return fmt.Sprintf("%.1f MiB", mib)
	default:
		return fmt.Sprintf("%.0f KiB", 1024*mib)
	}
}
