package adapters

import (
	"errors"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/graph/kernel/cpu"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/optim"
)

// loraLinear is y = x·Wᵀ + b + scale·(x·Aᵀ·Bᵀ + bB) on a linear layer.
type loraLinear struct {
	layer   *layers.Linear
	base    *graph.Param // the layer's weight; layer.Weight is another one after an initialisation that modifies the base
	scale   float32
	a, b    *Trainable
	bias    *Trainable // of B, or nil
	dropout *layers.Dropout
	start   *start // nil without an X0
}

func (p *loraLinear) rank() int { return p.a.Param.Value.Shape[0] }

// ApplyLinear implements layers.LinearAdapter.
func (p *loraLinear) ApplyLinear(g *graph.Graph, l *layers.Linear, x *graph.Node) *graph.Node {
	in := append(l.Inputs(g, x), g.Param(p.a.Param), g.Param(p.b.Param))
	if p.bias != nil {
		in = append(in, g.Param(p.bias.Param))
	}
	in, dropped := p.drop(g, in, x)
	k := kernel.LoRA{Scale: p.scale, Bias: l.Bias != nil, InOut: l.InOut, LoRABias: p.bias != nil, Dropped: dropped}
	if p.start != nil && p.start.carried {
		k.Carried = true
		in = append(in, g.Param(p.start.a), g.Param(p.start.b))
	}
	return g.Apply(k, in...)
}

// drop appends the dropped-out x of the adapter's path, where dropout is on.
func (p *loraLinear) drop(g *graph.Graph, in []*graph.Node, x *graph.Node) ([]*graph.Node, bool) {
	xd := p.dropout.Apply(g, x)
	if xd == x {
		return in, false
	}
	return append(in, xd), true
}

func (p *loraLinear) name() string { return p.layer.Name }

func (p *loraLinear) trainables() []*Trainable {
	t := []*Trainable{p.a, p.b}
	if p.bias != nil {
		t = append(t, p.bias)
	}
	return t
}

func (p *loraLinear) points() []optim.Point {
	points := []optim.Point{lowRank(p.layer.Name, p.a, p.b, p.scale)}
	if p.bias != nil {
		points = append(points, optim.NewEuclidean(p.bias.tensor()))
	}
	return points
}

// lowRank returns the point of a pair of factors.
func lowRank(name string, a, b *Trainable, scale float32) optim.Point {
	p, err := optim.NewLowRank(name, a.tensor(), b.tensor(), scale)
	if err != nil {
		panic(err) // the factors were made to fit
	}
	return p
}

// takeOut replaces the layer's weight by W − X0, rounded to its storage type as PEFT does. W itself stays as it is.
func (p *loraLinear) takeOut() {
	v := p.base.Value
	p.layer.Weight = graph.FrozenParam(p.base.Name+".residual", kernel.Rounded(p.without(), v.DType, v.Shape))
}

// without returns W − X0 in float32, in the layer's layout.
func (p *loraLinear) without() []float32 {
	w := toOutIn(p.layer, p.base.Value.Floats())
	p.add(w, -p.scale, p.start.a, p.start.b)
	return fromOutIn(p.layer, w)
}

// add adds scale·B·A to w, (out,in).
func (p *loraLinear) add(w []float32, scale float32, a, b *graph.Param) {
	addProduct(w, scale, b.Value.F32, a.Value.F32, p.layer.Out, p.rank(), p.layer.In)
}

// merged returns the weight of the adapted layer in float32, (out,in).
func (p *loraLinear) merged() []float32 {
	w := outIn(p.layer)
	p.add(w, p.scale, p.a.Param, p.b.Param)
	if p.start != nil && p.start.carried {
		p.add(w, -p.scale, p.start.a, p.start.b)
	}
	return w
}

func (p *loraLinear) fuse(f *fusion) error {
	f.set(p.base, fromOutIn(p.layer, p.merged()))
	if p.bias == nil {
		return nil
	}
	if p.layer.Bias == nil {
		return errors.New("the factor B has a bias (lora_bias), but the layer has none to add it to")
	}
	bias := append([]float32(nil), p.layer.Bias.Value.Floats()...)
	cpu.Axpy(p.scale, p.bias.Param.Value.F32, bias)
	f.set(p.layer.Bias, bias)
	return nil
}

func (p *loraLinear) detach() { p.layer.Adapter, p.layer.Weight = nil, p.base }
