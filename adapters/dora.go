package adapters

import (
	"fmt"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/optim"
)

// readDoRA recognises a stored DoRA adapter.
func readDoRA(s formats.Settings) (Config, bool) {
	l, ok := s.(*formats.LoRA)
	if !ok || !l.DoRA {
		return Config{}, false
	}
	plain := *l
	plain.DoRA = false
	c, _ := readLoRA(&plain)
	c.Type = typeDoRA
	return c, true
}

// doraLinear is DoRA (Liu et al., 2024): the rows of V = W + scale·B·A with trained lengths, y = x·(m/‖V‖ ⊙ V)ᵀ + b. The gradient
// takes the norms as constants, as section 4.3 of the paper and PEFT do.
type doraLinear struct {
	*loraLinear
	magnitude *Trainable // m, starting at the norms of the rows of V
}

// measure sets the magnitudes to the norms of the rows of V.
func (p *doraLinear) measure() {
	copy(p.magnitude.Param.Value.F32, rowNorms(p.merged(), p.layer.Out, p.layer.In))
}

// ApplyLinear implements layers.LinearAdapter.
func (p *doraLinear) ApplyLinear(g *graph.Graph, l *layers.Linear, x *graph.Node) *graph.Node {
	in := append(l.Inputs(g, x), g.Param(p.a.Param), g.Param(p.b.Param), g.Param(p.magnitude.Param))
	in, dropped := p.drop(g, in, x)
	return g.Apply(kernel.DoRA{Scale: p.scale, Bias: l.Bias != nil, InOut: l.InOut, Dropped: dropped}, in...)
}

func (p *doraLinear) trainables() []*Trainable { return append(p.loraLinear.trainables(), p.magnitude) }

func (p *doraLinear) points() []optim.Point {
	return append(p.loraLinear.points(), optim.NewEuclidean(p.magnitude.tensor()))
}

func (p *doraLinear) fuse(f *fusion) error {
	v := p.merged()
	in := p.layer.In
	for i, norm := range rowNorms(v, p.layer.Out, in) {
		if norm == 0 {
			return fmt.Errorf("row %d of the adapted weight is zero; %s has no direction there", i, formats.KindMagnitude)
		}
		factor := p.magnitude.Param.Value.F32[i] / norm
		row := v[i*in : (i+1)*in]
		for j := range row {
			row[j] *= factor
		}
	}
	f.set(p.base, fromOutIn(p.layer, v))
	return nil
}
