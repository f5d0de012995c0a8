package adapters

import (
	"math"
	"slices"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
)

// File returns the adapter as formats writes it: a copy of the values, with the settings that make PEFT build the same adapter. Where
// -X0 is carried along, the file holds X - X0 as factors of twice the rank, [A; A0] and [B, -B0].
func (a *Adapter) File(h formats.Header) *formats.Adapter {
	f := &formats.Adapter{Settings: a.settings, Header: h, Tensors: formats.Tensors{}}
	if a.settings != nil {
		f.Prefix = formats.Prefix
	}
	for _, t := range a.trained {
		v := t.Param.Value
		f.Tensors[pathOf(t)] = formats.NewTensor(slices.Clone(v.F32), v.Shape...)
	}
	if !a.carries() {
		return f
	}
	f.Settings = doubled(a.settings.(*formats.LoRA))
	for _, p := range a.linears() {
		f.Tensors[pathOf(p.a)], f.Tensors[pathOf(p.b)] = p.difference()
	}
	return f
}

func pathOf(t *Trainable) string { return strings.TrimPrefix(t.Key, formats.Prefix) }

// difference returns factors of X - X0.
func (p *loraLinear) difference() (a, b formats.Tensor) {
	r, in, out := p.rank(), p.layer.In, p.layer.Out
	rows := append(slices.Clone(p.a.Param.Value.F32), p.start.a.Value.F32...)
	columns := make([]float32, 0, out*2*r)
	for i := range out {
		columns = append(columns, p.b.Param.Value.F32[i*r:(i+1)*r]...)
		for _, v := range p.start.b.Value.F32[i*r : (i+1)*r] {
			columns = append(columns, -v)
		}
	}
	return formats.NewTensor(rows, 2*r, in), formats.NewTensor(columns, out, 2*r)
}

// doubled returns the settings for factors of twice the rank and the same scale.
func doubled(l *formats.LoRA) *formats.LoRA {
	d := *l
	factor := 2.0
	if l.RSLoRA {
		factor = math.Sqrt2
	}
	d.Rank, d.Ranks = 2*l.Rank, times(l.Ranks, 2)
	d.Alpha, d.Alphas = factor*l.Alpha, times(l.Alphas, factor)
	return &d
}

func times[T int | float64](m map[string]T, factor T) map[string]T {
	out := make(map[string]T, len(m))
	for k, v := range m {
		out[k] = factor * v
	}
	return out
}
