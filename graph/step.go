package graph

import "github.com/geotune/geotune/graph/kernel"

// step is one kernel pass of a machine.
type step struct {
	label    string // for errors
	kind     string // for traces
	k        kernel.Kernel
	backward bool // runs the kernel's backward pass
	gradient bool // runs a forward pass to add up gradients
	call     kernel.Call
	plan     kernel.Plan
	reads    []*value // values that must be alive during the step
	writes   []*value // values it defines
	saved    *buffer
	scratch  *buffer
}

func (s *step) run() {
	if s.backward {
		s.k.Backward(&s.call)
		return
	}
	s.k.Forward(&s.call)
}

func (s *step) attach(mem []float32) {
	for _, v := range s.writes {
		if v.buf != nil {
			v.tensor.F32 = v.buf.in(mem)
		}
	}
	s.call.Saved, s.call.Scratch = s.saved.in(mem), s.scratch.in(mem)
}

func (s *step) detach() {
	for _, v := range s.writes {
		if v.buf != nil {
			v.tensor.F32 = nil
		}
	}
	s.call.Saved, s.call.Scratch = nil, nil
}

// value is a node's result as a machine sees it.
type value struct {
	spec   kernel.Spec
	tensor *kernel.Tensor // the machine's header: for a leaf a copy of the bound tensor's, otherwise a view of the arena
	buf    *buffer        // nil for leaves and outputs, whose memory is not in the arena
	last   int            // last step that reads it
}

// buffer is a range of the arena with a lifetime; values that overwrite one another in place share one.
type buffer struct {
	size   int // float32 values
	lo, hi int // first and last step that need it
	off    int
	holder *value // the value it contains at present, during planning
}

func (b *buffer) in(mem []float32) []float32 {
	if b == nil {
		return nil
	}
	return mem[b.off : b.off+b.size : b.off+b.size]
}

// accumulate adds X[0] to Y: the last step of an Output with Add.
type accumulate struct{}

func (accumulate) String() string { return "accumulate" }
func (accumulate) Plan(in []kernel.Spec, _ []bool) (kernel.Plan, error) {
	return kernel.Plan{Out: in[0].Shape}, nil
}
func (accumulate) Forward(c *kernel.Call)  { kernel.AddTo(c.Y, c.X[0]) }
func (accumulate) Backward(c *kernel.Call) {}

// duplicate copies X[0] to Y: an output that is also another output or a leaf.
type duplicate struct{ accumulate }

func (duplicate) String() string         { return "copy" }
func (duplicate) Forward(c *kernel.Call) { copy(c.Y.F32, c.X[0].F32) }
