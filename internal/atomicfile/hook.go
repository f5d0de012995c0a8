package atomicfile

import "sync/atomic"

// Op is a kind of file system operation.
type Op string

// The operations that a [Hook] sees.
const (
	Create Op = "create"
	Write  Op = "write"
	Sync   Op = "sync"
	Rename Op = "rename"
	Remove Op = "remove"
)

// Hook is called before each operation of this package with the path it works on (of a rename: the new one). An error takes the operation's place.
type Hook func(op Op, path string) error

var hook atomic.Pointer[Hook]

// SetHook installs h for the whole process, nil for none, and returns a function that puts the former one back. It is for crash-injection tests:
// a hook that fails the i-th operation and every later one acts as a process killed at that moment.
func SetHook(h Hook) (restore func()) {
	var p *Hook
	if h != nil {
		p = &h
	}
	old := hook.Swap(p)
	return func() { hook.Store(old) }
}

func step(op Op, path string) error {
	if h := hook.Load(); h != nil {
		return (*h)(op, path)
	}
	return nil
}
