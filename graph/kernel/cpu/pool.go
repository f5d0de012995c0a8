package cpu

import (
	"math"
	"runtime"
	"sync/atomic"
)

// Parallel calls body for the ranges [k*grain, min((k+1)*grain, n)) that cover [0, n), on up to GOMAXPROCS threads, and returns when
// all calls have returned. The ranges depend on n and grain alone, so a body that treats each range by itself gives the same bits for
// any number of threads. A panic in body is raised again in the caller. Calls may be nested and may come from many goroutines.
func Parallel(n, grain int, body func(lo, hi int)) { parallel(n, grain, bodyFunc(body)) }

// runner is the work of a parallel loop. Kernels implement it on pooled structs, which saves the allocation of a closure.
type runner interface{ run(lo, hi int) }

type bodyFunc func(lo, hi int)

func (f bodyFunc) run(lo, hi int) { f(lo, hi) }

// parallel is Parallel for a runner.
func parallel(n, grain int, r runner) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	chunks := (n-1)/grain + 1
	helpers := 0
	if chunks > 1 && chunks <= math.MaxInt32 { // a share has no room for more
		helpers = min(runtime.GOMAXPROCS(0)-1, chunks-1)
	}
	if helpers == 0 {
		for k := range chunks {
			r.run(k*grain, min((k+1)*grain, n))
		}
		return
	}
	t := newTask(r, n, grain, chunks, 1+helpers)
	loops.Add(1)
	defer loops.Add(-1)
	t.offer(helpers)
	if !t.work(0) {
		t.wait()
	}
	failed := t.failed.Swap(nil)
	t.r = nil // keep no operand alive
	t.release()
	if failed != nil {
		panic(failed.value)
	}
}

// loops counts the loops under way on several threads.
var loops atomic.Int64

// task is a loop that several threads work on. Each has a share of the chunks, the same one in every loop, because what a loop works on
// often is in the caches of the thread that worked on it in the loop before; who has finished takes from the far end of the others'
// shares. The caller waits for chunks, never for a worker that was not scheduled. A worker may find the task long finished, so it is
// reused only when nobody refers to it.
type task struct {
	r        runner
	n, grain int
	shares   []share
	left     atomic.Int64 // chunks that have not finished
	refs     atomic.Int64 // the caller, and each mention in the queue or by a worker
	failed   atomic.Pointer[failure]
	done     chan struct{} // receives once if a worker finishes the last chunk
}

// failure is the first panic in a body.
type failure struct{ value any }

// share is a range of chunks that nobody has taken, [bits>>32, bits&(1<<32-1)), on a cache line of its own.
type share struct {
	bits atomic.Uint64
	_    [56]byte
}

func (s *share) set(lo, hi int) { s.bits.Store(uint64(lo)<<32 | uint64(hi)) }

// take removes a chunk, the first or the last one, and returns it, or -1 if there is none.
func (s *share) take(last bool) int {
	for {
		old := s.bits.Load()
		lo, hi := old>>32, old&(1<<32-1)
		switch {
		case lo >= hi:
			return -1
		case last && s.bits.CompareAndSwap(old, old-1):
			return int(hi - 1)
		case !last && s.bits.CompareAndSwap(old, old+1<<32):
			return int(lo)
		}
	}
}

var idleTasks free[task]

func newTask(r runner, n, grain, chunks, threads int) *task {
	t := idleTasks.get()
	if t.done == nil {
		t.done = make(chan struct{}, 1)
	}
	if cap(t.shares) < threads {
		t.shares = make([]share, threads)
	}
	t.shares = t.shares[:threads]
	for i := range t.shares {
		t.shares[i].set(i*chunks/threads, (i+1)*chunks/threads)
	}
	t.r, t.n, t.grain = r, n, grain
	t.left.Store(int64(chunks))
	t.refs.Store(1)
	return t
}

// offer tells up to helpers workers about t.
func (t *task) offer(helpers int) {
	startWorkers(helpers)
	for range helpers {
		t.refs.Add(1)
		select {
		case queue <- t:
		default: // everybody has plenty to do
			t.refs.Add(-1)
			return
		}
	}
}

// work runs chunks, those of the own share first, until none is left to take and reports whether it finished the last one of all. The
// caller is thread 0.
func (t *task) work(thread int) (last bool) {
	for i := range t.shares {
		s := &t.shares[(thread+i)%len(t.shares)]
		for k := s.take(i > 0); k >= 0; k = s.take(i > 0) {
			last = t.runChunk(k, thread > 0)
		}
	}
	return last
}

// runChunk runs one chunk, unless another one has panicked, and reports whether no chunk is unfinished now.
func (t *task) runChunk(k int, worker bool) (last bool) {
	returned := false
	defer func() {
		if !returned {
			v := recover()
			if v == nil {
				v = "cpu: the body of a parallel loop ended its goroutine"
			}
			t.failed.CompareAndSwap(nil, &failure{v})
		}
		last = t.left.Add(-1) == 0
		if last && worker {
			t.done <- struct{}{}
		}
	}()
	if t.failed.Load() == nil {
		t.r.run(k*t.grain, min((k+1)*t.grain, t.n))
	}
	returned = true
	return
}

// wait returns when a worker has finished the last chunk.
func (t *task) wait() {
	for s := newSpin(); s.more(); {
		if t.left.Load() == 0 {
			break
		}
	}
	<-t.done
}

// release drops a reference to t.
func (t *task) release() {
	if t.refs.Add(-1) == 0 {
		idleTasks.put(t)
	}
}
