package graph

import (
	"maps"
	"testing"
	"time"
)

// pass is one kind of kernel in one half of a step.
type pass struct {
	kind     string
	backward bool
}

func TestTraceTellsEveryPass(t *testing.T) {
	// Three residual blocks of which the odd one trains both of its matrices: matmul and tanh forward, and each backward.
	plain := map[pass]int{
		{"matmul", false}: 7, {"tanh", false}: 3, {"add", false}: 3, {"half_squares", false}: 1,
		{"matmul", true}: 7, {"tanh", true}: 3, {"half_squares", true}: 1, {"sum of gradients", true}: 3, {"accumulate", true}: 1,
	}
	again := maps.Clone(plain) // the blocks are computed once more but for the products and sums that end them
	again[pass{"matmul", false}] += 3
	again[pass{"tanh", false}] += 3
	for _, c := range []struct {
		checkpoint bool
		want       map[pass]int
	}{{false, plain}, {true, again}} {
		ws, m := NewWorkspace(), newMLP(3, 5)
		g, loss, grads := m.differentiate(t, ws, 4, c.checkpoint)
		outputs := []Output{{Node: loss}}
		for i, n := range grads {
			outputs = append(outputs, Output{Node: n, Add: i == 0})
		}
		machine, err := g.Compile(outputs...)
		if err != nil {
			t.Fatal(err)
		}
		got, sum := map[pass]int{}, time.Duration(0)
		ws.Trace = func(kind string, backward bool, d time.Duration) {
			got[pass{kind, backward}]++
			sum += d
		}
		start := time.Now()
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		if elapsed := time.Since(start); sum <= 0 || sum > elapsed {
			t.Errorf("checkpoint=%v: passes took %v, the run %v", c.checkpoint, sum, elapsed)
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("checkpoint=%v: passes\n%v, expected\n%v", c.checkpoint, got, c.want)
		}
	}
}
