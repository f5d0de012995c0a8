package layers

import (
	"fmt"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// The activation functions by the names that kernel.GLU and this package use.
const (
	SiLU     = "silu"      // x·sigmoid(x)
	GELU     = "gelu"      // with the error function
	GELUTanh = "gelu_tanh" // with the tanh approximation
	ReLU     = "relu"
)

// FeedForward is the part of a transformer block that works on each token by itself.
type FeedForward interface {
	Apply(g *graph.Graph, x *graph.Node) *graph.Node
}

// MLP is down(act(up(x))).
type MLP struct {
	Up, Down *Linear
	Act      string
}

// Apply adds the two layers and the activation between them.
func (m *MLP) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	return m.Down.Apply(g, Activate(g, m.Act, m.Up.Apply(g, x)))
}

// GatedMLP is down(act(gate(x))·up(x)) (Shazeer, "GLU Variants Improve Transformer", 2020).
type GatedMLP struct {
	Gate, Up, Down *Linear
	Act            string // SiLU, GELU or GELUTanh
}

// Apply adds the three layers and the gate.
func (m *GatedMLP) Apply(g *graph.Graph, x *graph.Node) *graph.Node {
	return m.Down.Apply(g, g.Apply(kernel.GLU{Act: m.Act}, m.Gate.Apply(g, x), m.Up.Apply(g, x)))
}

// Activate adds the activation function of that name.
func Activate(g *graph.Graph, act string, x *graph.Node) *graph.Node {
	switch act {
	case SiLU:
		return g.Apply(kernel.SiLU{}, x)
	case GELU:
		return g.Apply(kernel.GELU{}, x)
	case GELUTanh:
		return g.Apply(kernel.GELU{Tanh: true}, x)
	case ReLU:
		return g.Apply(kernel.ReLU{}, x)
	}
	g.Fail(fmt.Errorf("layers: activation %q is unknown; expected one of %s, %s, %s, %s", act, SiLU, GELU, GELUTanh, ReLU))
	return nil
}
