package cpu

import (
	"slices"
	"testing"
)

type squareArgs struct{ dst, src []int }

var squareLoop = NewLoop(func(a *squareArgs, lo, hi int) {
	for i := lo; i < hi; i++ {
		a.dst[i] = a.src[i] * a.src[i]
	}
})

func TestLoopCoversEveryIterationWithItsOperands(t *testing.T) {
	const n = 1000
	want, src := make([]int, n), make([]int, n)
	for i := range src {
		src[i], want[i] = i-500, (i-500)*(i-500)
	}
	for _, grain := range []int{1, 7, n, 2 * n} {
		dst := make([]int, n)
		squareLoop.Run(n, grain, squareArgs{dst, src})
		if !slices.Equal(dst, want) {
			t.Errorf("grain %d: wrong squares", grain)
		}
	}
}

func TestLoopRunsNestedAndAllocatesNothing(t *testing.T) {
	const n = 8
	src, dst := []int{0, 1, 2, 3, 4, 5, 6, 7}, make([][]int, n)
	for i := range dst {
		dst[i] = make([]int, n)
	}
	outer := NewLoop(func(a *[]int, lo, hi int) {
		for i := lo; i < hi; i++ {
			squareLoop.Run(n, 2, squareArgs{dst[i], *a})
		}
	})
	run := func() { outer.Run(n, 1, src) }
	for range 10 {
		run()
	}
	if got := testing.AllocsPerRun(100, run); got >= 1 {
		t.Errorf("%v allocations a run, expected none", got)
	}
	if dst[n-1][n-1] != 49 {
		t.Errorf("7² = %d", dst[n-1][n-1])
	}
}
