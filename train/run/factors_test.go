package run_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// onward continues a stored adapter for fifty steps.
const onward = `
model: {path: %q}
data: {train: builtin:quickstart/pairs-heldout.jsonl, max_length: 48}
adapter: {from: %q}
optimizer: {name: %s, lr: %g}
schedule: {name: cosine, warmup: 5}
train: {steps: 50, batch: 2, clip_grad_norm: 1, save_every: 0, seed: 7}
out: %q
`

// TestTheSameMatrixInOtherFactorsTrainsToTheSameMatrix stores a trained adapter twice, as it is and with every pair (B, A) replaced by
// (B·Q, Q⁻¹·A) for a Q of condition number 10, and trains both from the same config. Under riemannion both export the same updates of
// the weights up to float32; under AdamW they do not.
func TestTheSameMatrixInOtherFactorsTrainsToTheSameMatrix(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	start := filepath.Join(dir, "start")
	cfg := variants[0].config(t, model, start, "adapter.rank=3", "adapter.dropout=0", "optimizer.lr=0.02", "train.steps=10", "schedule.warmup=0")
	if err := carryOut(t, cfg, run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	same, other := filepath.Join(start, "adapter"), filepath.Join(dir, "other")
	rebase(t, same, other, 10)
	before := updates(t, same)
	if e := difference(updates(t, other), before, nil); e > 1e-6 {
		t.Fatalf("the two starts differ by %g", e)
	}
	for _, c := range []struct {
		rule      string
		lr        float64
		invariant bool
	}{{"riemannion", 5e-3, true}, {"lora-pro", 0.1, true}, {"adamw", 2e-3, false}} {
		t.Run(c.rule, func(t *testing.T) {
			var ends []map[string]*mat.Dense
			for i, from := range []string{same, other} {
				out := filepath.Join(t.TempDir(), fmt.Sprint(i))
				cfg, err := train.ParseConfig("run.yaml", fmt.Appendf(nil, onward, model, from, c.rule, c.lr, out), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := carryOut(t, cfg, run.Options{}, context.Background()); err != nil {
					t.Fatal(err)
				}
				ends = append(ends, updates(t, filepath.Join(out, "adapter")))
			}
			moved := difference(ends[0], before, nil)
			gap, way := difference(ends[1], ends[0], nil), difference(ends[1], ends[0], before)
			t.Logf("moved by %.2g of the start; apart by %.2g of the update, %.2g of the way", moved, gap, way)
			if moved < 0.1 {
				t.Errorf("fifty steps moved the updates by %g only", moved)
			}
			if c.invariant && gap > 1e-4 {
				t.Errorf("the updates differ by %g; want at most 1e-4", gap)
			}
			if !c.invariant && way < 0.1 {
				t.Errorf("the updates differ by %g of the way only; the test would not notice a rule that depends on the factors", way)
			}
		})
	}
}

// rebase writes the adapter at from to the directory to, with every pair of factors in another basis.
func rebase(t *testing.T, from, to string, condition float64) {
	t.Helper()
	a, err := formats.Read(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for _, name := range a.Tensors.Names() {
		module, isA := strings.CutSuffix(name, "."+formats.KindA)
		if !isA {
			continue
		}
		nameB := module + "." + formats.KindB
		q, inverse := basis(rng, a.Tensors[name].Shape[0], condition)
		var newA, newB mat.Dense
		newA.Mul(inverse, wide(a.Tensors[name]))
		newB.Mul(wide(a.Tensors[nameB]), q)
		store(a.Tensors[name], &newA)
		store(a.Tensors[nameB], &newB)
	}
	if err := formats.Write(to, a); err != nil {
		t.Fatal(err)
	}
}

// basis returns a random r×r matrix of the given condition number and its inverse.
func basis(rng *rand.Rand, r int, condition float64) (q, inverse *mat.Dense) {
	var u, v mat.Dense
	for _, m := range []*mat.Dense{&u, &v} {
		random := mat.NewDense(r, r, nil)
		random.Apply(func(_, _ int, _ float64) float64 { return rng.NormFloat64() }, random)
		var qr mat.QR
		qr.Factorize(random)
		qr.QTo(m)
	}
	q, inverse = new(mat.Dense), new(mat.Dense)
	values, reciprocals := mat.NewDiagDense(r, nil), mat.NewDiagDense(r, nil)
	for i := range r {
		s := math.Pow(condition, float64(i)/float64(r-1)-0.5)
		values.SetDiag(i, s)
		reciprocals.SetDiag(i, 1/s)
	}
	q.Product(&u, values, v.T())
	inverse.Product(&v, reciprocals, u.T())
	return q, inverse
}

func wide(x formats.Tensor) *mat.Dense {
	m := mat.NewDense(x.Shape[0], x.Shape[1], nil)
	m.Apply(func(i, j int, _ float64) float64 { return float64(x.Values[i*x.Shape[1]+j]) }, m)
	return m
}

func store(x formats.Tensor, m *mat.Dense) {
	for i := range x.Values {
		x.Values[i] = float32(m.At(i/x.Shape[1], i%x.Shape[1]))
	}
}

// updates returns scale·B·A of every module of an adapter.
func updates(t *testing.T, dir string) map[string]*mat.Dense {
	t.Helper()
	a, err := formats.Read(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := a.Settings.(*formats.LoRA)
	all := map[string]*mat.Dense{}
	for _, name := range a.Tensors.Names() {
		if module, isA := strings.CutSuffix(name, "."+formats.KindA); isA {
			x := new(mat.Dense)
			x.Mul(wide(a.Tensors[module+"."+formats.KindB]), wide(a.Tensors[name]))
			x.Scale(float64(l.Scale(l.Rank, l.Alpha)), x)
			all[module] = x
		}
	}
	return all
}

// difference returns the norm of a - b over that of b - origin, all modules together; a nil origin is 0.
func difference(a, b, origin map[string]*mat.Dense) float64 {
	var num, den float64
	for name, y := range b {
		var d mat.Dense
		d.Sub(a[name], y)
		num += math.Pow(mat.Norm(&d, 2), 2)
		if origin != nil {
			d.Sub(y, origin[name])
			y = &d
		}
		den += math.Pow(mat.Norm(y, 2), 2)
	}
	return math.Sqrt(num / den)
}
