package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// queue holds the tasks that look for helpers, once for each helper wanted.
var queue = make(chan *task, 256)

var (
	workers      atomic.Int64
	workersMutex sync.Mutex
)

// startWorkers makes sure that n workers exist. They live as long as the process and sleep when there is nothing to do.
func startWorkers(n int) {
	if workers.Load() >= int64(n) {
		return
	}
	workersMutex.Lock()
	defer workersMutex.Unlock()
	for workers.Load() < int64(n) {
		go work(int(workers.Add(1)))
	}
}

// work is the life of a worker, which as a thread of a loop has the given number. It ends only if a body ends its goroutine.
func work(number int) {
	defer workers.Add(-1)
	for {
		t := nextTask()
		t.work(number)
		t.release()
	}
}

// nextTask waits for a task: awake at first, because the next product of a step follows within microseconds and waking a sleeping
// thread takes as long as a small product; then asleep.
func nextTask() *task {
	for s := newSpin(); s.more(); {
		select {
		case t := <-queue:
			return t
		default:
		}
	}
	return <-queue
}

// spinTime is how long a thread waits actively before it sleeps.
const spinTime = 50 * time.Microsecond

// spin bounds an active wait.
type spin struct {
	turns int
	until time.Time
}

func newSpin() spin { return spin{until: time.Now().Add(spinTime)} }

// more passes a fraction of a microsecond and reports whether to go on waiting. It lets other goroutines run.
func (s *spin) more() bool {
	if s.turns++; s.turns%8 != 0 {
		return true
	}
	runtime.Gosched()
	return time.Now().Before(s.until)
}
