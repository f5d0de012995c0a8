package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// withProcs runs f under each of the given numbers of threads.
func withProcs(procs []int, f func(p int)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, p := range procs {
		runtime.GOMAXPROCS(p)
		f(p)
	}
}

func TestParallelCoversEveryIndexOnceInFixedChunks(t *testing.T) {
	withProcs([]int{1, 2, 8}, func(p int) {
		for _, n := range []int{0, 1, 7, 64, 1000} {
			for _, grain := range []int{0, 1, 3, 64, 5000} {
				seen := make([]int32, n)
				Parallel(n, grain, func(lo, hi int) {
					if g := max(grain, 1); lo%g != 0 || hi != min(lo+g, n) {
						t.Errorf("n %d, grain %d: chunk [%d, %d)", n, grain, lo, hi)
					}
					for i := lo; i < hi; i++ {
						atomic.AddInt32(&seen[i], 1)
					}
				})
				for i, s := range seen {
					if s != 1 {
						t.Fatalf("procs %d, n %d, grain %d: index %d was seen %d times", p, n, grain, i, s)
					}
				}
			}
		}
	})
}

func TestShareGivesEachChunkOnce(t *testing.T) {
	var s share
	s.set(3, 6)
	for _, c := range []struct {
		last bool
		want int
	}{{false, 3}, {true, 5}, {true, 4}, {true, -1}, {false, -1}} {
		if k := s.take(c.last); k != c.want {
			t.Fatalf("last %v: took %d, want %d", c.last, k, c.want)
		}
	}
	const n = 10000
	s.set(0, n)
	seen := make([]int32, n)
	var wg sync.WaitGroup
	for _, last := range []bool{false, true, false, true} {
		wg.Go(func() {
			for k := s.take(last); k >= 0; k = s.take(last) {
				atomic.AddInt32(&seen[k], 1)
			}
		})
	}
	wg.Wait()
	for k, times := range seen {
		if times != 1 {
			t.Fatalf("chunk %d was taken %d times", k, times)
		}
	}
}

func TestParallelRaisesPanicInCaller(t *testing.T) {
	withProcs([]int{1, 2, 8}, func(p int) {
		for range 50 {
			func() {
				defer func() {
					if v := recover(); v != "broken" {
						t.Fatalf("procs %d: recovered %v, want the panic of the body", p, v)
					}
				}()
				Parallel(100, 1, func(lo, hi int) {
					if lo == 37 {
						panic("broken")
					}
				})
			}()
			total := atomic.Int64{}
			Parallel(10, 1, func(lo, hi int) { total.Add(int64(lo)) })
			if total.Load() != 45 {
				t.Fatal("the pool is broken after a panic")
			}
		}
	})
}

func TestParallelReportsBodyThatEndsItsGoroutine(t *testing.T) {
	withProcs([]int{2}, func(int) {
		var ended atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { recover() }()
			Parallel(64, 1, func(lo, hi int) {
				if lo == 5 {
					ended.Store(true)
					runtime.Goexit()
				}
			})
			t.Error("the loop returned normally")
		})
		wg.Wait()
		if !ended.Load() {
			t.Error("the body did not run")
		}
	})
}

func TestNestedParallelFinishes(t *testing.T) {
	withProcs([]int{1, 2, 8}, func(int) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				total := atomic.Int64{}
				Parallel(8, 1, func(lo, hi int) {
					Parallel(16, 2, func(lo, hi int) {
						Parallel(4, 1, func(lo, hi int) { total.Add(1) })
					})
				})
				if total.Load() != 8*8*4 {
					t.Errorf("%d innermost calls, want %d", total.Load(), 8*8*4)
				}
			})
		}
		wg.Wait()
	})
}

func TestParallelAllocatesNothing(t *testing.T) {
	withProcs([]int{1, 2}, func(p int) {
		var sink [64]int
		body := func(lo, hi int) { sink[lo]++ }
		if n := testing.AllocsPerRun(100, func() { Parallel(64, 1, body) }); n != 0 {
			t.Errorf("procs %d: %v allocations a loop", p, n)
		}
	})
}
