package optim_test

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/optim"
)

// A step from B = 0, or from a B near to it, moves B and stays finite, for every rule and shape.
func TestRulesMoveFromZeroAndStayFinite(t *testing.T) {
	for _, name := range optim.Names() {
		for _, shape := range [][3]int{{30, 20, 4}, {9, 8, 6}, {4, 4, 4}, {7, 1, 1}, {1, 1, 1}} {
			for _, size := range []float32{1, 1e-12, 0} {
				p := pair(t, shape[0], shape[1], shape[2], 1, 0.1*size)
				before := slices.Clone(p.B().Value.F32)
				o := mustNew(t, registered(t, name)(), optim.Config{WeightDecay: 0.01}, p)
				for i := range p.A().Grad.F32 {
					p.A().Grad.F32[i] *= size // which is what a backward pass gives
				}
				for range 40 {
					mustStep(t, o, 1e-3)
				}
				for _, tensor := range p.Tensors() {
					for _, v := range tensor.Value.F32 {
						if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
							t.Fatalf("%s: %v, B of size %g: %s holds %v", name, shape, size, tensor.Name, v)
						}
					}
				}
				if shape[0] > shape[2] && slices.Equal(before, p.B().Value.F32) {
					t.Errorf("%s: %v, B of size %g: B did not move", name, shape, size)
				}
			}
		}
	}
}

// Rules that keep less than Adam say so; StelLA keeps U beside B.
func TestStateIsAtMostAdams(t *testing.T) {
	for _, name := range optim.Names() {
		adam := mustNew(t, registered(t, "adamw")(), optim.Config{}, pair(t, 64, 48, 4, 1, 1)).StateBytes()
		got := mustNew(t, registered(t, name)(), optim.Config{}, pair(t, 64, 48, 4, 1, 1)).StateBytes()
		if name == "stella" {
			adam += 4 * (64*4 + 3*4*4)
		}
		if got > adam {
			t.Errorf("%s: %d bytes of state, at most %d expected", name, got, adam)
		}
	}
}

// first returns what one small step without momentum does to X, over the rate, and the matrices of the problem: U and V span the columns
// and rows of X, g is the gradient with respect to X.
func first(t *testing.T, rule optim.Rule) (d, u, v, g *mat.Dense) {
	t.Helper()
	const out, in, r, rate = 14, 11, 3, 1e-3
	p := pair(t, out, in, r, 1, 1)
	o := mustNew(t, rule, optim.Config{}, p) // which may choose other factors of the same X
	source := pair(t, out, in, in, 1, 1)     // any 14×11 numbers
	g = mat.NewDense(out, in, nil)
	for i := range out {
		for j := range in {
			g.Set(i, j, float64(source.B().Value.F32[i*in+j]))
		}
	}
	a, b := mat.NewDense(r, in, wide(p.A().Value.F32)), mat.NewDense(out, r, wide(p.B().Value.F32))
	var ga, gb mat.Dense
	ga.Mul(b.T(), g)
	gb.Mul(g, a.T())
	for i, x := range ga.RawMatrix().Data {
		p.A().Grad.F32[i] = p.Scale * float32(x)
	}
	for i, x := range gb.RawMatrix().Data {
		p.B().Grad.F32[i] = p.Scale * float32(x)
	}
	before := mat.NewDense(out, in, product(p))
	var s mat.SVD
	s.Factorize(before, mat.SVDThin)
	u, v = new(mat.Dense), new(mat.Dense)
	s.UTo(u)
	s.VTo(v)
	u, v = mat.DenseCopyOf(u.Slice(0, out, 0, r)), mat.DenseCopyOf(v.Slice(0, in, 0, r))
	mustStep(t, o, rate)
	d = mat.NewDense(out, in, product(p))
	d.Sub(before, d)
	d.Scale(1/rate, d)
	return d, u, v, g
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// With canonical U, V of X every rule's first step is P·Vᵀ + U·Qᵀ for known P and Q of G·V and Gᵀ·U. Steps of 1e-3
// leave the second order, which is the tolerance.
func TestFirstStepsAreTheirCanonicalForms(t *testing.T) {
	sign := func(m *mat.Dense) *mat.Dense {
		var s mat.SVD
		s.Factorize(m, mat.SVDThin)
		var u, v, o mat.Dense
		s.UTo(&u)
		s.VTo(&v)
		o.Mul(&u, v.T())
		return &o
	}
	outside := func(u, gr *mat.Dense) *mat.Dense {
		var c, o mat.Dense
		c.Mul(u.T(), gr)
		o.Mul(u, &c)
		o.Sub(gr, &o)
		return &o
	}
	scaled := func(c float64, m *mat.Dense) *mat.Dense { var o mat.Dense; o.Scale(c, m); return &o }
	const scaling = 2.0 // of the pair: factors of the gradient and of X
	for _, c := range []struct {
		name string
		rule optim.Rule
		p, q func(u, gr, gl *mat.Dense) *mat.Dense
	}{
		{"riemann-sgd", fixedRank(t, "riemann-sgd", func(r *optim.RiemannSGD) { r.Momentum = 0 })(),
			func(u, gr, gl *mat.Dense) *mat.Dense { return outside(u, gr) }, func(u, gr, gl *mat.Dense) *mat.Dense { return gl }},
		{"lora-pro", &optim.LoRAPro{FactorRule: optim.FactorRule{Rest: restOf(t)}},
			func(u, gr, gl *mat.Dense) *mat.Dense { return outside(u, gr) }, func(u, gr, gl *mat.Dense) *mat.Dense { return gl }},
		{"scaled-sgd", &optim.ScaledSGD{FactorRule: optim.FactorRule{Rest: restOf(t)}},
			func(u, gr, gl *mat.Dense) *mat.Dense { return scaled(scaling*scaling, gr) },
			func(u, gr, gl *mat.Dense) *mat.Dense { return scaled(scaling*scaling, gl) }},
		{"lora-muon", &optim.LoRAMuon{FactorRule: optim.FactorRule{Rest: restOf(t)}},
			func(u, gr, gl *mat.Dense) *mat.Dense { return scaled(0.5*scaling, sign(gr)) },
			func(u, gr, gl *mat.Dense) *mat.Dense { return scaled(0.5*scaling, sign(gl)) }},
		{"lora-rite", registered(t, "lora-rite")(),
			func(u, gr, gl *mat.Dense) *mat.Dense { return scaled(scaling*math.Sqrt(14), sign(gr)) },
			func(u, gr, gl *mat.Dense) *mat.Dense { return scaled(scaling*math.Sqrt(11), sign(gl)) }},
	} {
		d, u, v, g := first(t, c.rule)
		var gr, gl, left, right mat.Dense
		gr.Mul(g, v)
		gl.Mul(g.T(), u)
		left.Mul(c.p(u, &gr, &gl), v.T())
		right.Mul(u, c.q(u, &gr, &gl).T())
		left.Add(&left, &right)
		right.Sub(d, &left)
		if e := mat.Norm(&right, 2) / mat.Norm(&left, 2); e > 1e-2 {
			t.Errorf("%s: the first step is off its canonical form by %g", c.name, e)
		}
	}
}

// restOf returns valid settings of the rest, which the tests above have no points for.
func restOf(t *testing.T) optim.Rest { return registered(t, "lora-muon")().(*optim.LoRAMuon).Rest }

func TestFactorRuleHyperparametersOutOfRangeAreRefused(t *testing.T) {
	rest := restOf(t)
	for _, rule := range []optim.Rule{
		&optim.ScaledSGD{FactorRule: optim.FactorRule{Momentum: 1, Rest: rest}}, &optim.ScaledSGD{FactorRule: optim.FactorRule{Rest: rest}, Damping: -1},
		&optim.ScaledAdamW{AdamW: optim.AdamW{Betas: [2]float64{1, 0}}}, &optim.ScaledAdamW{Damping: math.NaN()},
		&optim.LoRAPro{FactorRule: optim.FactorRule{Momentum: -1, Rest: rest}}, &optim.Muon{FactorRule: optim.FactorRule{Rest: optim.Rest{LRRatio: -1}}},
		&optim.LoRAMuon{FactorRule: optim.FactorRule{Momentum: math.NaN(), Rest: rest}}, &optim.LoRARITE{FactorRule: optim.FactorRule{Rest: rest}, Beta2: 1},
	} {
		if _, err := optim.New(rule, []optim.Point{pair(t, 8, 8, 2, 1, 1)}, optim.Config{}); err == nil {
			t.Errorf("%+v was accepted", rule)
		}
	}
}
