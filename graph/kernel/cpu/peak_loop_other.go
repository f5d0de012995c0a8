//go:build !amd64 && !arm64

package cpu

func peakLoopOf(level) peakLoop { return peakGeneric }
