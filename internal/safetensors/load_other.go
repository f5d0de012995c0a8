//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package safetensors

import "os"

// load reads a file into memory.
func load(path string) (data []byte, unmap func() error, err error) {
	data, err = os.ReadFile(path)
	return data, func() error { return nil }, err
}
