package layers

import (
	"math"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

// param returns a parameter with values that vary around zero.
func param(name string, shape ...int) *graph.Param {
	p := graph.NewParam(name, shape...)
	for i := range p.Value.F32 {
		p.Value.F32[i] = float32(math.Sin(float64(i*i + len(name))))
	}
	return p
}

func linear(name string, in, out int) *Linear {
	return &Linear{Name: name, In: in, Out: out, Weight: param(name+".weight", out, in), Bias: param(name+".bias", out)}
}

// eval runs what build adds to an evaluation graph.
func eval(t *testing.T, build func(g *graph.Graph) *graph.Node) []float32 {
	t.Helper()
	g := graph.NewWorkspace().NewEvalGraph()
	m, err := g.Compile(graph.Output{Node: build(g)})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return m.Output(0).F32
}

func near(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("found %d values, expected %d", len(got), len(want))
	}
	for i, w := range want {
		if math.Abs(float64(got[i]-w)) > 1e-5*(1+math.Abs(float64(w))) {
			t.Fatalf("value %d: found %v, expected %v", i, got[i], w)
		}
	}
}

// sequence returns five tokens of one segment with rotary tables for rot dimensions.
func sequence(rot int) *Sequence {
	s := &Sequence{Positions: kernel.NewI32(1, 5), Segments: kernel.NewI32(1, 5), Cos: kernel.New(5, rot/2), Sin: kernel.New(5, rot/2)}
	for p := range 5 {
		s.Positions.I32[p], s.Segments.I32[p] = int32(p), 1
		for i := range rot / 2 {
			sin, cos := math.Sincos(float64(p) / float64(i+1))
			s.Sin.F32[p*rot/2+i], s.Cos.F32[p*rot/2+i] = float32(sin), float32(cos)
		}
	}
	return s
}

// TestFusedProjectionsEqualSeparateOnes splits the rows of a fused projection, in either layout, into three.
func TestFusedProjectionsEqualSeparateOnes(t *testing.T) {
	const hidden, heads, dim, rot = 6, 2, 4, 2
	const width = heads * dim
	for _, layout := range []string{FusedQKV, FusedNeoX} {
		fused := linear("qkv", hidden, 3*width)
		split := [3]*Linear{linear("q", hidden, width), linear("k", hidden, width), linear("v", hidden, width)}
		for part, l := range split {
			for r := range width {
				from := part*width + r
				if layout == FusedNeoX {
					from = (r/dim*3+part)*dim + r%dim
				}
				copy(l.Weight.Value.F32[r*hidden:(r+1)*hidden], fused.Weight.Value.F32[from*hidden:])
				l.Bias.Value.F32[r] = fused.Bias.Value.F32[from]
			}
		}
		a := &Attention{Name: "attn", QKV: fused, Fused: layout, Out: linear("out", width, hidden), Heads: heads, KVHeads: heads, Dim: dim, Rot: rot, Scale: 0.5}
		b := *a
		b.QKV, b.Fused, b.Q, b.K, b.V = nil, "", split[0], split[1], split[2]
		x, s := param("x", 1, 5, hidden).Value, sequence(rot)
		apply := func(a *Attention) []float32 {
			return eval(t, func(g *graph.Graph) *graph.Node { return a.Apply(g, g.Leaf("x", x), s) })
		}
		near(t, apply(a), apply(&b))
	}
}

func TestGatedMLPIsTheProductOfItsBranches(t *testing.T) {
	x := param("x", 2, 3).Value
	id := func(name string) *Linear {
		l := &Linear{Name: name, In: 3, Out: 3, Weight: graph.NewParam(name+".weight", 3, 3)}
		for i := range 3 {
			l.Weight.Value.F32[4*i] = 1
		}
		return l
	}
	curves := map[string]func(v float64) float64{
		SiLU: func(v float64) float64 { return v / (1 + math.Exp(-v)) },
		GELU: func(v float64) float64 { return v / 2 * (1 + math.Erf(v/math.Sqrt2)) },
		GELUTanh: func(v float64) float64 {
			return v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		},
		ReLU: func(v float64) float64 { return max(v, 0) },
	}
	for act, curve := range curves {
		plain, gated := make([]float32, 6), make([]float32, 6)
		for i, v := range x.F32 {
			plain[i] = float32(curve(float64(v)))
			gated[i] = plain[i] * v
		}
		near(t, eval(t, func(g *graph.Graph) *graph.Node {
			return (&MLP{Up: id("up"), Down: id("down"), Act: act}).Apply(g, g.Leaf("x", x))
		}), plain)
		if act != ReLU {
			near(t, eval(t, func(g *graph.Graph) *graph.Node {
				return (&GatedMLP{Gate: id("gate"), Up: id("up"), Down: id("down"), Act: act}).Apply(g, g.Leaf("x", x))
			}), gated)
		}
	}
}

func TestActivateRefusesUnknownNames(t *testing.T) {
	g := graph.NewWorkspace().NewEvalGraph()
	Activate(g, "mish", g.Leaf("x", kernel.New(2)))
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), `"mish"`) {
		t.Errorf("found %v, expected an error that names the activation", err)
	}
}

// TestParallelBlockEqualsSequentialOneWithoutAttention compares the two kinds of block where the attention's output is zero: then they agree.
func TestParallelBlockEqualsSequentialOneWithoutAttention(t *testing.T) {
	const hidden = 4
	norm := func(name string) Norm {
		return &LayerNorm{Name: name, Weight: param(name+".weight", hidden), Bias: param(name+".bias", hidden), Eps: 1e-5}
	}
	none := &Linear{Name: "out", In: hidden, Out: hidden, Weight: graph.NewParam("out.weight", hidden, hidden)}
	b := &Block{
		AttnNorm: norm("n1"), MLPNorm: norm("n2"),
		Attn: &Attention{Name: "attn", QKV: linear("qkv", hidden, 3*hidden), Fused: FusedQKV, Out: none, Heads: 2, KVHeads: 2, Dim: 2, Scale: 1},
		MLP:  &MLP{Up: linear("up", hidden, 5), Down: linear("down", 5, hidden), Act: GELU},
	}
	x, s := param("x", 1, 5, hidden).Value, sequence(2)
	apply := func() []float32 {
		return eval(t, func(g *graph.Graph) *graph.Node { return b.Apply(g, g.Leaf("x", x), s) })
	}
	want := apply()
	b.Parallel = true
	near(t, apply(), want)
}
