//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package safetensors

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
)

// load maps a file into memory, read-only.
func load(path string) (data []byte, unmap func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if st.Size() == 0 { // the system refuses an empty mapping
		return nil, func() error { return nil }, nil
	}
	if st.Size() > math.MaxInt {
		return nil, nil, fmt.Errorf("%d bytes overflow the address space", st.Size())
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map into memory: %w", err)
	}
	return data, func() error { return syscall.Munmap(data) }, nil
}
