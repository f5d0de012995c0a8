package graph

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	G "gorgonia.org/gorgonia"

	"github.com/geotune/geotune/graph/kernel"
)

// TestMachineAgreesWithTapeMachine runs the same graph on Gorgonia's own machine: equal loss, equal gradients.
func TestMachineAgreesWithTapeMachine(t *testing.T) {
	m := newMLP(3, 5)
	g, loss, grads := m.differentiate(t, NewWorkspace(), 7, false)
	machine := compile(t, g, append([]*Node{loss}, grads...)...)
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	checkHashes(t, g)
	for n, w := range g.nodes {
		if w.leaf != nil {
			if err := G.Let(n, dense(w.leaf)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tape := G.NewTapeMachine(g.g)
	defer tape.Close()
	if err := tape.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, n := range append([]*Node{loss}, grads...) {
		want, err := operand(n.node.Value(), n.spec)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(machine.Output(i).F32, want.F32) {
			t.Errorf("%s: machine %v, TapeMachine %v", n.label, machine.Output(i).F32, want.F32)
		}
	}
}

// checkHashes makes sure that the oracle is not a victim of its common-subexpression step, which trusts 32-bit hashes.
func checkHashes(t *testing.T, g *Graph) {
	t.Helper()
	seen := map[uint32]*G.Node{}
	for _, n := range g.g.AllNodes() {
		if other, ok := seen[n.Hashcode()]; ok {
			t.Fatalf("nodes %v and %v share a hash", n, other)
		}
		seen[n.Hashcode()] = n
	}
}

// TestGradientsMatchFiniteDifferences checks the differentiation of the whole graph, fan-in sums included.
func TestGradientsMatchFiniteDifferences(t *testing.T) {
	m := newMLP(2, 4)
	got := m.run(t, NewWorkspace(), 3, false)
	loss := func() float64 { return float64(m.run(t, NewWorkspace(), 3, false)[0][0]) }
	for i, p := range m.trainables() {
		grad := got[i+1]
		for _, j := range []int{0, 7, 15} {
			const eps = 1e-2
			old := p.Value.F32[j]
			p.Value.F32[j] = old + eps
			up := loss()
			p.Value.F32[j] = old - eps
			down := loss()
			p.Value.F32[j] = old
			if diff := (up - down) / (2 * eps); !near(float64(grad[j]), diff, 1e-2) {
				t.Errorf("%s[%d]: gradient %g, finite difference %g", p.Name, j, grad[j], diff)
			}
		}
	}
}

func near(a, b, tol float64) bool {
	d := a - b
	return d < tol*(1+max(a, -a)) && -d < tol*(1+max(a, -a))
}

func TestCheckpointedGradientsAreBitEqual(t *testing.T) {
	m := newMLP(6, 5)
	plain, ws := NewWorkspace(), NewWorkspace()
	want, got := m.run(t, plain, 9, false), m.run(t, ws, 9, true)
	for i := range want {
		if !slices.Equal(want[i], got[i]) {
			t.Errorf("output %d differs: %v, %v", i, want[i], got[i])
		}
	}
	if len(ws.blocks) != 2 { // odd and even layers train different parameters
		t.Errorf("found %d compiled blocks, expected one per structure", len(ws.blocks))
	}
}

func TestFrozenParametersHaveNoGradientNode(t *testing.T) {
	frozen, trained := newMLP(4, 5), newMLP(4, 5)
	for _, l := range trained.layers {
		l[0].Trainable, l[1].Trainable = true, true
	}
	count := func(m *mlp) (picks int) {
		g, _, _ := m.differentiate(t, NewWorkspace(), 2, false)
		for _, n := range g.g.AllNodes() {
			if _, ok := n.Op().(*pick); ok {
				picks++
			}
		}
		return picks
	}
	if a, b := count(frozen), count(trained); b-a != 2 {
		t.Errorf("two frozen weights save %d gradient nodes, expected 2", b-a)
	}
	g := NewWorkspace().NewEvalGraph()
	x, _ := g.Input("x", kernel.F32, 2, 5)
	if y := frozen.build(g, x, false); y.NeedsGrad() {
		t.Error("an evaluation graph asks for gradients")
	}
}

func TestSteadyRunAllocatesNothing(t *testing.T) {
	m := newMLP(4, 6)
	for _, checkpoint := range []bool{false, true} {
		ws := NewWorkspace()
		g, loss, grads := m.differentiate(t, ws, 8, checkpoint)
		machine := compile(t, g, append([]*Node{loss}, grads...)...)
		for _, trace := range []Trace{nil, func(string, bool, time.Duration) {}} {
			ws.Trace = trace
			if n := testing.AllocsPerRun(10, func() {
				if err := machine.RunAll(); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("checkpoint=%v, traced %v: a run allocates %v times", checkpoint, trace != nil, n)
			}
		}
	}
}

// TestArenaIsSmallerThanTheSumOfValues pins the plan of one network, so that a change of the planner shows.
func TestArenaIsSmallerThanTheSumOfValues(t *testing.T) {
	const rows, width, depth = 64, 32, 8
	m := newMLP(depth, width)
	g, loss, grads := m.differentiate(t, NewWorkspace(), rows, false)
	values := 0
	for _, n := range g.g.AllNodes() {
		if n.Op() != nil {
			values += n.Shape().TotalSize()
		}
	}
	machine := compile(t, g, append([]*Node{loss}, grads...)...)
	activation := int64(4 * rows * width)
	if got, want := machine.ArenaBytes(), 19*activation; got > want {
		t.Errorf("arena of %d activations, expected at most %d (all values: %d)", got/activation, want/activation, int64(4*values)/activation)
	}
}

func TestOutputsAccumulate(t *testing.T) {
	m := newMLP(2, 4)
	g, loss, grads := m.differentiate(t, NewWorkspace(), 3, false)
	sum, once := kernel.New(4, 4), kernel.New(4, 4)
	machine, err := g.Compile(Output{Node: loss}, Output{Node: grads[0], Into: sum, Add: true}, Output{Node: grads[0], Into: once})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sum.F32 {
		if !near(float64(sum.F32[i]), 3*float64(once.F32[i]), 1e-6) {
			t.Fatalf("element %d: sum of three runs %g, one run %g", i, sum.F32[i], once.F32[i])
		}
	}
}

func TestPanicsNameTheNode(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		for _, k := range []faulty{{false}, {true}} {
			g := NewWorkspace().NewGraph()
			w := NewParam("layer.weight", 2)
			build := func(g *Graph, x []*Node) *Node { return g.Apply(k, x[0]) }
			y := g.Param(w)
			if checkpoint {
				y = g.Checkpoint(build, y)
			} else {
				y = build(g, []*Node{y})
			}
			seed, _ := g.Input("seed", kernel.F32, 2)
			machine := compile(t, g, y, g.Gradients(y, seed, g.Param(w))[0])
			err := machine.RunAll()
			if err == nil || !strings.Contains(err.Error(), "faulty") || !strings.Contains(err.Error(), "layer.weight") || !strings.Contains(err.Error(), "index out of range") {
				t.Errorf("checkpoint=%v backward=%v: found error %v", checkpoint, k.backward, err)
			}
		}
	}
}

func TestBuildErrorsAreKept(t *testing.T) {
	ws := NewWorkspace()
	cases := map[string]func(g *Graph){
		"shapes do not match": func(g *Graph) {
			x, _ := g.Input("x", kernel.F32, 2, 3)
			g.Apply(tanh{}, g.Apply(matmul{}, x, x))
		},
		"two leaves are named": func(g *Graph) {
			g.Input("x", kernel.F32, 2)
			g.Input("x", kernel.F32, 2)
		},
		"expected F32; widen it first": func(g *Graph) {
			g.Param(&Param{Name: "w", Value: &kernel.Tensor{DType: kernel.BF16, Shape: kernel.Shape{1}, U16: []uint16{0}}, Trainable: true})
		},
		"nothing trainable": func(g *Graph) {
			x, _ := g.Input("x", kernel.F32, 2)
			g.Gradients(g.Apply(tanh{}, x), x, x)
		},
		"another graph": func(g *Graph) {
			x, _ := ws.NewGraph().Input("x", kernel.F32, 2)
			g.Apply(tanh{}, x)
		},
	}
	for want, build := range cases {
		g := ws.NewGraph()
		build(g)
		if _, err := g.Compile(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("found error %v, expected %q", err, want)
		}
	}
}

func TestBindChecksShapeAndSeesNewContent(t *testing.T) {
	g := NewWorkspace().NewEvalGraph()
	x, data := g.Input("x", kernel.F32, 2)
	machine := compile(t, g, g.Apply(tanh{}, g.Apply(tanh{}, x)))
	if err := machine.Bind(x, kernel.New(3)); err == nil || !strings.Contains(err.Error(), "expected F32 2") {
		t.Errorf("found error %v", err)
	}
	other := kernel.FromF32([]float32{1, -1}, 2)
	data.F32[0] = 0.5
	var results [][]float32
	for _, src := range []*kernel.Tensor{data, other, data} {
		if err := machine.Bind(x, src); err != nil {
			t.Fatal(err)
		}
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		results = append(results, slices.Clone(machine.Output(0).F32))
	}
	if slices.Equal(results[0], results[1]) || !slices.Equal(results[0], results[2]) {
		t.Errorf("results do not follow the binding: %v", results)
	}
}

// TestMachinesShareAnArena lets machines of different size alternate in one workspace.
func TestMachinesShareAnArena(t *testing.T) {
	m, ws := newMLP(3, 5), NewWorkspace()
	small := m.run(t, ws, 2, false)
	g, loss, grads := m.differentiate(t, ws, 2, false)
	first := compile(t, g, append([]*Node{loss}, grads...)...)
	if err := first.RunAll(); err != nil {
		t.Fatal(err)
	}
	m.run(t, ws, 50, false)
	for _, s := range first.steps {
		if s.call.Saved != nil || s.call.Scratch != nil {
			t.Fatalf("%s still holds memory of the smaller arena", s.label)
		}
	}
	if err := first.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i := range small {
		if !slices.Equal(first.Output(i).F32, small[i]) {
			t.Errorf("output %d changed after a larger machine joined the workspace", i)
		}
	}
}

// TestBlocksHoldNothingBetweenRuns: what a recomputed block was bound to may be in an arena that has been outgrown since.
func TestBlocksHoldNothingBetweenRuns(t *testing.T) {
	m, ws := newMLP(3, 5), NewWorkspace()
	m.run(t, ws, 2, true)
	if len(ws.blocks) == 0 {
		t.Fatal("the graph has no blocks")
	}
	for _, p := range ws.blocks {
		for _, inner := range []*Machine{p.forward, p.back} {
			for n, v := range inner.leaves {
				if v.tensor.F32 != nil {
					t.Errorf("leaf %s is still bound", n.label)
				}
			}
		}
	}
}

func TestAClosedMachineIsForgotten(t *testing.T) {
	m, ws := newMLP(3, 5), NewWorkspace()
	g, loss, _ := m.differentiate(t, ws, 4, false)
	kept := compile(t, g, loss)
	if err := kept.RunAll(); err != nil {
		t.Fatal(err)
	}
	want := kept.Output(0).F32[0]
	for range 3 {
		g, loss, _ := m.differentiate(t, ws, 2, false)
		passing := compile(t, g, loss)
		if err := errors.Join(passing.RunAll(), passing.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(ws.outer.tenants); n != 1 {
		t.Errorf("the workspace knows %d machines; one is in use", n)
	}
	if err := errors.Join(kept.Close(), kept.RunAll()); err != nil || kept.Output(0).F32[0] != want {
		t.Errorf("run again after Close: %v, %v; want %v", kept.Output(0).F32[0], err, want)
	}
}

// TestConcurrentMachinesShareParameters is meaningful under -race.
func TestConcurrentMachinesShareParameters(t *testing.T) {
	m := newMLP(3, 5)
	want := m.run(t, NewWorkspace(), 4, true)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got := m.run(t, NewWorkspace(), 4, true)
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("output %d differs between concurrent machines", i)
				}
			}
		})
	}
	wg.Wait()
}

// TestPlacedBuffersNeverOverlap checks the law of the arena on random lifetimes.
func TestPlacedBuffersNeverOverlap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var buffers []*buffer
		for range 60 {
			lo := rng.IntN(40)
			buffers = append(buffers, &buffer{size: 1 + rng.IntN(200), lo: lo, hi: lo + rng.IntN(15)})
		}
		total := place(buffers)
		for i, a := range buffers {
			if a.off < 0 || a.off+a.size > total {
				t.Fatalf("buffer %d lies outside the arena", i)
			}
			for _, b := range buffers[:i] {
				if a.lo <= b.hi && b.lo <= a.hi && a.off < b.off+b.size && b.off < a.off+a.size {
					t.Fatalf("buffers [%d,%d) and [%d,%d) are alive together", a.off, a.off+a.size, b.off, b.off+b.size)
				}
			}
		}
	}
}
