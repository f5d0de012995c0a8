// Package fuse folds an adapter into a model and verifies the result before anyone writes it.
package fuse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers/transformer"
)

// Report says what fusing did.
type Report struct {
	// Changed is the number of weights that changed, MaxDelta the largest change of an element.
	Changed  int     `json:"changed"`
	MaxDelta float32 `json:"max_delta"`
	// Lost is the largest share of a weight's update that vanished when it was rounded to the base's type.
	Lost float64 `json:"lost"`
	// MaxDifference is the largest difference of a logit between the fused model and base with adapter on a random batch, Difference
	// the norm of all differences relative to that of the logits, and Tolerance the bound that Difference is held to.
	MaxDifference float64 `json:"max_difference"`
	Difference    float64 `json:"difference"`
	Tolerance     float64 `json:"tolerance"`
}

// String describes the report in two lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fused %d weights; largest change %.3g, at most %.2g %% of an update lost to rounding\n", r.Changed, r.MaxDelta, 100*r.Lost)
	fmt.Fprintf(&b, "verified: logits differ from base with adapter by %.2g relative (%.2g at most), tolerance %.2g\n", r.Difference, r.MaxDifference, r.Tolerance)
	return b.String()
}

// Fuse folds the adapter into the weights of its model, which it takes off. It then compares the logits of the model on a random
// batch with those before. A difference that the rounding of weights to their type does not explain is an error, after which the
// model must not be used.
func Fuse(m *transformer.Model, a *adapters.Adapter) (*Report, error) {
	b := randomBatch(m.Config)
	before, err := logits(m, b)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	fused, err := adapters.Fuse(a)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	after, err := logits(m, b)
	if err != nil {
		return nil, fmt.Errorf("fuse: %w", err)
	}
	r := &Report{Changed: len(fused.Changed), MaxDelta: fused.MaxDelta, Tolerance: tolerance(m, fused)}
	for _, f := range fused.Changed {
		r.Lost = max(r.Lost, f.Lost)
	}
	r.Difference, r.MaxDifference = compare(after, before)
	if !(r.Difference <= r.Tolerance) {
		return nil, fmt.Errorf("fuse: the fused model's logits differ from those of base and adapter by %.3g relative, more than the %.3g that rounding explains; use the adapter without fusing",
			r.Difference, r.Tolerance)
	}
	return r, nil
}

// randomBatch returns two rows of random tokens, the same for every call.
func randomBatch(c *transformer.Config) *transformer.Batch {
	b := transformer.NewBatch(2, min(16, c.MaxPositions))
	b.Targets = nil
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range b.IDs.I32 {
		b.IDs.I32[i] = rng.Int32N(int32(c.VocabSize))
	}
	return b
}

func logits(m *transformer.Model, b *transformer.Batch) ([]float32, error) {
	g := graph.NewWorkspace().NewEvalGraph()
	out := m.Forward(g, b, transformer.Options{NeedLogits: true})
	machine, err := g.Compile(graph.Output{Node: out.Logits})
	if err != nil {
		return nil, err
	}
	if err := machine.RunAll(); err != nil {
		return nil, err
	}
	return machine.Output(0).F32, nil
}

// roundoff is the unit roundoff of the types that weights are stored in.
var roundoff = map[kernel.DType]float64{kernel.F32: 0x1p-24, kernel.F16: 0x1p-11, kernel.BF16: 0x1p-8}

// tolerance bounds the relative difference of the logits. Rounding n weight matrices with unit roundoff u moves the output by about
// u·√n, as the errors are independent; the factor and the constant leave room for their amplification and for float32 sums.
func tolerance(m *transformer.Model, fused *adapters.FuseReport) float64 {
	types := map[string]kernel.DType{}
	for _, p := range m.Params() {
		types[p.Name] = p.Value.DType
	}
	u := 0.0
	for _, f := range fused.Changed {
		u = max(u, roundoff[types[f.Name]])
	}
	return 1e-4 + 4*u*math.Sqrt(float64(len(fused.Changed)))
}

// compare returns the norm of got-want relative to that of want, and the largest difference.
func compare(got, want []float32) (relative, largest float64) {
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff, norm = diff+d*d, norm+float64(w)*float64(w)
		largest = max(largest, math.Abs(d))
	}
	return math.Sqrt(diff) / max(math.Sqrt(norm), math.SmallestNonzeroFloat64), largest
}
