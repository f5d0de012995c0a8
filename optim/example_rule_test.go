package optim_test

import (
	"fmt"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

func init() {
	optim.Register("lion", func() optim.Rule { return &Lion{Betas: [2]float64{0.9, 0.99}} })
}

// Lion moves by the sign of an average of gradient and momentum (Chen et al. 2023, arXiv 2302.06675, Algorithm 2):
//
//	c ← β₁·m + (1-β₁)·g
//	x ← x - η·(sign(c) + λ·x)
//	m ← β₂·m + (1-β₂)·g
type Lion struct {
	Betas [2]float64 `yaml:"betas"`
}

func (*Lion) Defaults() optim.Hyper             { return optim.Hyper{LR: 2e-5, WeightDecay: 0.1} }
func (*Lion) Split(p optim.Point) []optim.Point { return optim.PerTensor(p) }

func (*Lion) Init(p optim.Point) (*optim.State, error) {
	n := p.Tensors()[0].Value.Len()
	return &optim.State{Buffers: map[string][]float32{"momentum": make([]float32, n)}}, nil
}

func (r *Lion) Step(p optim.Point, s *optim.State, h optim.Hyper) error {
	x, g, m := p.Tensors()[0].Value.F32, p.Tensors()[0].Grad.F32, s.Buffers["momentum"]
	beta1, beta2 := float32(r.Betas[0]), float32(r.Betas[1])
	lr, keep := float32(h.LR), float32(1-h.LR*h.WeightDecay)
	for i := range x {
		c := beta1*m[i] + (1-beta1)*g[i]
		x[i] *= keep
		switch {
		case c > 0:
			x[i] -= lr
		case c < 0:
			x[i] += lr
		}
		m[i] = beta2*m[i] + (1-beta2)*g[i]
	}
	return nil
}

// A rule of your own takes a struct, four methods and a registration; here the Lion optimizer. The conformance suite runs on it with
//
//	optimtest.Run(t, "lion", newLion, optimtest.Laws{LR: 0.05, LossScale: true})
func Example_ownRule() {
	rule, err := optim.NewRule("lion")
	if err != nil {
		fmt.Println(err)
		return
	}
	x := optim.Tensor{Name: "x", Value: kernel.FromF32([]float32{3, -2}, 2), Grad: kernel.New(2)}
	o, err := optim.New(rule, []optim.Point{optim.NewEuclidean(x)}, optim.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		copy(x.Grad.F32, x.Value.F32) // the gradient of ½‖x‖²
		if _, err := o.Step(0.5); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(x.Value.F32)
	// Output: [1 0]
}
