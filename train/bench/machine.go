package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// Machine says where a measurement was made.
type Machine struct {
	Level    string `json:"cpu_level"` // instruction set in use
	CPUs     int    `json:"cpus"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisMachine() Machine {
	return Machine{Level: cpu.Level(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}

func (m Machine) String() string {
	return fmt.Sprintf("%s of %d cores, %s, %s", m.Level, m.CPUs, m.Go, m.Platform)
}

// peakTime is how long the processor's rate is measured at a time.
const peakTime = 100 * time.Millisecond

func peak(threads int) float64 { return cpu.PeakGFLOPS(threads, peakTime) }

// useThreads sets the number of threads, 0 for as many as the program would use anyway, and returns it with a function that undoes the change.
func useThreads(n int) (threads int, restore func(), err error) {
	if err := checkThreads(n); err != nil {
		return 0, nil, err
	}
	before := runtime.GOMAXPROCS(n) // which leaves it alone for 0
	if n == 0 {
		n = before
	}
	return n, func() { runtime.GOMAXPROCS(before) }, nil
}

func checkThreads(n int) error {
	if n < 0 || n > 4096 {
		return UsageError{fmt.Sprintf("%d threads; expected at least 1, or 0 for GOMAXPROCS", n)}
	}
	return nil
}
