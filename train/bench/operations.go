package bench

import (
	"strings"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
)

// Operations counts the floating-point operations of a step, in 10⁹, by what they are for: base (linear layers), adapter, attention and
// head (an output layer tied to the embedding). A multiply-add is 2; norms, softmax, activations, loss and optimizer are not counted, and
// causal attention is counted in full. What is counted is what a step needs, whatever is computed:
//
//	linear, T rows, n → m   2·T·m·n·(1 + [a gradient reaches its input] + [its weight is trained])
//	attention               4·B·H·S²·d forward; 2·B·H·S²·d for each of dP, dV, dQ, dK that is needed
type Operations map[string]float64

// Total returns the sum.
func (o Operations) Total() float64 {
	sum := 0.0
	for _, v := range o {
		sum += v
	}
	return sum
}

// counter walks through a model in the order of its data flow.
type counter struct {
	Operations
	rows  float64
	ranks map[string]int // rank of the LoRA on each module
	// which values a gradient has to reach
	residual, q, k, v, hidden bool
}

// countOperations returns the operations of a micro-batch.
func countOperations(m *transformer.Model, a *adapters.Adapter, rows, length int) Operations {
	c := &counter{Operations: Operations{}, rows: float64(rows * length), ranks: map[string]int{}}
	for _, p := range a.Points() {
		if x, ok := p.(*optim.LowRank); ok {
			c.ranks[x.Name()] = x.A().Value.Shape[0]
		}
	}
	for _, e := range m.Embeddings() {
		c.residual = c.residual || e.Weight.Trainable || c.ranks[e.Name] > 0
	}
	cfg := m.Config
	head := 2 * float64(rows) * float64(cfg.NumHeads) * float64(length) * float64(length) * float64(cfg.HeadDim)
	for _, l := range m.Linears() {
		c.layer(l, l == m.Output() && cfg.Tied, head)
	}
	return c.Operations
}

// layer counts a linear layer, and with the output projection the attention before it.
func (c *counter) layer(l *layers.Linear, tied bool, head float64) {
	switch name := l.Name[strings.LastIndexByte(l.Name, '.')+1:]; {
	case name == "c_attn":
		c.q = c.linear(l, "base", c.residual)
		c.k, c.v = c.q, c.q
	case name == "q_proj":
		c.q = c.linear(l, "base", c.residual)
	case name == "k_proj":
		c.k = c.linear(l, "base", c.residual)
	case name == "v_proj":
		c.v = c.linear(l, "base", c.residual)
	case name == "o_proj", strings.HasSuffix(l.Name, ".attn.c_proj"):
		c.attention(head)
		c.residual = c.linear(l, "base", c.q || c.k || c.v) || c.residual
		c.hidden = false
	case name == "c_fc", name == "gate_proj", name == "up_proj":
		c.hidden = c.linear(l, "base", c.residual) || c.hidden
	case name == "down_proj", strings.HasSuffix(l.Name, ".mlp.c_proj"):
		c.residual = c.linear(l, "base", c.hidden) || c.residual
	case tied:
		c.linear(l, "head", c.residual)
	default:
		c.linear(l, "base", c.residual)
	}
}

// linear counts a layer with its LoRA and reports whether a gradient has to reach its output.
func (c *counter) linear(l *layers.Linear, kind string, input bool) (output bool) {
	c.product(kind, l.In, l.Out, input, l.Weight.Trainable)
	r := c.ranks[l.Name]
	if r > 0 {
		c.product("adapter", l.In, r, input, true)
		c.product("adapter", r, l.Out, true, true)
	}
	return input || l.Weight.Trainable || l.Bias != nil && l.Bias.Trainable || r > 0
}

func (c *counter) product(kind string, in, out int, input, weight bool) {
	c.Operations[kind] += 2e-9 * c.rows * float64(in) * float64(out) * (1 + count(input, weight))
}

func (c *counter) attention(head float64) {
	c.Operations["attention"] += 1e-9 * head * (2 + count(c.q || c.k, c.v, c.q, c.k))
}

func count(conditions ...bool) float64 {
	n := 0.0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
