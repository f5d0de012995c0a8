// Package kernel holds the layer operations of geotune: each is one file with its forward pass and its whole vector-Jacobian
// product on plain float32 slices. It knows nothing of graphs; package graph decides when a kernel runs and in which memory.
package kernel

// Kernel is one layer operation: y = f(x...) and the gradients of all its inputs.
//
// An implementation is a small struct of configuration (sizes, scales, flags) without state, so that one value may serve many
// nodes; whatever Forward has to leave for Backward goes into Call.Saved. Inputs of a wrong shape or type are reported by Plan;
// Forward and Backward may panic only for programmer errors, and the host turns such a panic into an error naming the node.
type Kernel interface {
	// String names the kind of operation in the field's term, e.g. "linear"; it labels errors and profiles.
	String() string
	// Plan checks the inputs and states the output shape and the memory the kernel wants. need[i] tells whether a gradient for
	// input i will be asked for; it is all false in a graph that is only evaluated.
	Plan(in []Spec, need []bool) (Plan, error)
	// Forward computes c.Y from c.X. It overwrites Y, which holds garbage (NaN included) before.
	Forward(c *Call)
	// Backward computes c.DX[i] for each i with c.DX[i] != nil from c.DY and what Plan said it reads. It overwrites DX.
	Backward(c *Call)
}

// Spec describes an input before any memory exists.
type Spec struct {
	Shape Shape
	DType DType
}

// Plan is what a kernel promises and asks for. Sizes count float32 values.
type Plan struct {
	// Out is the shape of the output, which is always F32.
	Out Shape
	// Saved values are written by Forward and read by Backward of the same step.
	Saved int
	// ForwardScratch and BackwardScratch are working memory with undefined content at entry and no meaning after return.
	ForwardScratch, BackwardScratch int
	// ReadsX lists the inputs that Backward reads; the memory of the others may be gone by then. ReadsY tells the same of the output.
	// Frozen weights need not be economised: leaves live for ever.
	ReadsX []int
	ReadsY bool
	// YOverX lists inputs of Y's size whose memory Forward may be given as Y (elementwise operations).
	YOverX []int
	// DXOverDY lists inputs whose gradient may be given the memory of DY, DXOverX those that may be given the memory of X[i] itself.
	// Backward must then read each element before it writes it.
	DXOverDY, DXOverX []int
}

// Call is one execution of a kernel: operands and memory, owned by the host.
type Call struct {
	X []*Tensor // inputs
	Y *Tensor   // output
	// DY is the gradient of the loss with respect to Y; DX[i] receives that of X[i], nil where it is not wanted. Backward only.
	DY *Tensor
	DX []*Tensor
	// Saved carries values from Forward to Backward; Scratch is working memory of the pass that runs.
	Saved, Scratch []float32
}

// SelfGrad is implemented by kernels whose gradients are DY itself (residual addition): the host then hands DY through and never
// calls Backward.
type SelfGrad interface {
	// GradIsDY reports that DX[i] == DY for every input.
	GradIsDY() bool
}
