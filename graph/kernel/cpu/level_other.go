//go:build !amd64 && !arm64

package cpu

// machineLevels returns the levels that this machine has, weakest first.
func machineLevels() []level { return []level{generic} }
