package transformer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
)

func TestCheckpointedGradientsEqualPlainOnesBitForBit(t *testing.T) {
	for _, config := range familyConfigs {
		m := trainAll(t, randomModel(t, config))
		t.Run(m.Config.ModelType, func(t *testing.T) {
			b := ramp(NewBatch(2, 7), m.Config.VocabSize)
			plain, again := run(t, m, b, Options{}), run(t, m, b, Options{Checkpoint: true})
			if plain.loss != again.loss {
				t.Errorf("loss: found %v, expected %v", again.loss, plain.loss)
			}
			for name, want := range plain.grads {
				if !slices.Equal(again.grads[name].F32, want.F32) {
					t.Errorf("gradient of %s differs", name)
				}
			}
		})
	}
}

func TestLossWithoutLogitsEqualsCrossEntropyOfLogits(t *testing.T) {
	m := trainAll(t, randomModel(t, qwen2Config))
	b := ramp(NewBatch(2, 7), m.Config.VocabSize)
	a, c := run(t, m, b, Options{}), run(t, m, b, Options{NeedLogits: true})
	if d := math.Abs(a.loss - c.loss); d > 1e-6*c.loss {
		t.Errorf("loss: found %v, expected %v", a.loss, c.loss)
	}
	for name, want := range c.grads {
		if rel := distance(a.grads[name].F32, want.F32, nil); rel > 2e-6 {
			t.Errorf("gradient of %s: relative difference %.2g", name, rel)
		}
	}
}

// logits returns the output of an evaluation graph.
func logits(t *testing.T, m *Model, b *Batch) []float32 {
	t.Helper()
	g := graph.NewWorkspace().NewEvalGraph()
	out := m.Forward(g, b, Options{NeedLogits: true})
	machine, err := g.Compile(graph.Output{Node: out.Logits})
	if err != nil {
		t.Fatal(err)
	}
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	return machine.Output(0).F32
}

func TestPackedDocumentsEqualSeparateRows(t *testing.T) {
	for _, config := range familyConfigs {
		m := randomModel(t, config)
		t.Run(m.Config.ModelType, func(t *testing.T) {
			packed := ramp(NewBatch(1, 9), m.Config.VocabSize)
			first, second := NewBatch(1, 4), NewBatch(1, 5)
			copy(first.IDs.I32, packed.IDs.I32[:4])
			copy(second.IDs.I32, packed.IDs.I32[4:])
			for i := 4; i < 9; i++ {
				packed.Segments.I32[i], packed.Positions.I32[i] = 2, int32(i-4)
			}
			got := logits(t, m, packed)
			want := append(slices.Clone(logits(t, m, first)), logits(t, m, second)...)
			if rel := distance(got, want, nil); rel > 2e-6 {
				t.Errorf("relative difference %.2g", rel)
			}
		})
	}
}

func TestSlidingWindowLimitsWhatATokenSees(t *testing.T) {
	m := randomModel(t, mistralConfig) // two layers with a window of 3: a token sees the 4 before it
	a := ramp(NewBatch(1, 10), m.Config.VocabSize)
	before := slices.Clone(logits(t, m, a))
	a.IDs.I32[2]++
	after := logits(t, m, a)
	v := m.Config.VocabSize
	for i := range 10 {
		changed := !slices.Equal(before[i*v:(i+1)*v], after[i*v:(i+1)*v])
		if want := i >= 2 && i <= 6; changed != want {
			t.Errorf("position %d: changed %v after position 2 did, expected %v", i, changed, want)
		}
	}
}

func TestRotaryModelsSeeDistancesAlone(t *testing.T) {
	for _, config := range []string{llamaConfig, gptNeoXConfig} {
		m := randomModel(t, with(config, "initializer_range", wide))
		b := ramp(NewBatch(1, 8), m.Config.VocabSize)
		want := slices.Clone(logits(t, m, b))
		for i := range b.Positions.I32 {
			b.Positions.I32[i] += 5
		}
		g := graph.NewWorkspace().NewEvalGraph()
		machine, err := g.Compile(graph.Output{Node: m.Forward(g, b, Options{NeedLogits: true, Positions: 13}).Logits})
		if err != nil {
			t.Fatal(err)
		}
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		if rel := distance(machine.Output(0).F32, want, nil); rel > 5e-6 {
			t.Errorf("%s: shifted positions change the logits by %.2g", m.Config.ModelType, rel)
		}
	}
}

func TestForwardRefusesMorePositionsThanLearned(t *testing.T) {
	m := randomModel(t, gpt2Config)
	g := graph.NewWorkspace().NewEvalGraph()
	m.Forward(g, NewBatch(1, 33), Options{NeedLogits: true})
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), "has learned 32") {
		t.Errorf("found %v, expected an error about the 32 learned positions", err)
	}
}

func TestSetLabelsShiftsThemByOneWithinRows(t *testing.T) {
	b := NewBatch(2, 3)
	b.SetLabels([]int32{1, 2, Ignored, 4, 5, 6})
	if want := []int32{2, Ignored, Ignored, 5, 6, Ignored}; !slices.Equal(b.Targets.I32, want) {
		t.Errorf("found %v, expected %v", b.Targets.I32, want)
	}
	if n := b.TargetCount(); n != 3 {
		t.Errorf("found %d targets, expected 3", n)
	}
}

// Qwen 3 has no reference case; the tests below tie it to its published definition.

// fill sets all parameters whose names contain part.
func fill(m *Model, part string, value func(i int) float32) {
	for _, p := range m.Params() {
		if strings.Contains(p.Name, part) {
			for i := range p.Value.F32 {
				p.Value.F32[i] = value(i)
			}
		}
	}
}

// scale multiplies all parameters whose names contain part. They get new memory, as graphs may have packed the old.
func scale(m *Model, part string, factor float32) {
	for _, p := range m.Params() {
		if !strings.Contains(p.Name, part) {
			continue
		}
		v := kernel.New(p.Value.Shape...)
		for i, x := range p.Value.F32 {
			v.F32[i] = factor * x
		}
		p.Value = v
	}
}

// copyParams copies the values of all parameters that both models have.
func copyParams(dst, src *Model) {
	from := map[string]*graph.Param{}
	for _, p := range src.Params() {
		from[p.Name] = p
	}
	for _, p := range dst.Params() {
		if s := from[p.Name]; s != nil {
			copy(p.Value.F32, s.Value.F32)
		}
	}
}

// TestQwen3EqualsQwen2WhereItsNormsChangeNothing gives every head of queries and keys the root mean square 1. Norms of weight one
// then change nothing, and the model is Qwen 2 without biases.
func TestQwen3EqualsQwen2WhereItsNormsChangeNothing(t *testing.T) {
	q3, q2 := unitHeads(t)
	b := ids01(NewBatch(1, 6))
	if rel := distance(logits(t, q3, b), logits(t, q2, b), nil); rel > 1e-6 {
		t.Errorf("relative difference %.2g", rel)
	}
}

// TestQwen3NormWeightsScaleTheScores doubles the weights of the queries' norm and compares with doubled query projections of Qwen 2.
func TestQwen3NormWeightsScaleTheScores(t *testing.T) {
	q3, q2 := unitHeads(t)
	b := ids01(NewBatch(1, 6))
	before := slices.Clone(logits(t, q2, b))
	scale(q3, "q_norm.weight", 2)
	scale(q2, "q_proj.weight", 2)
	got, want := logits(t, q3, b), logits(t, q2, b)
	if rel := distance(got, want, nil); rel > 1e-6 {
		t.Errorf("relative difference %.2g", rel)
	}
	if rel := distance(before, want, nil); rel < 1e-4 {
		t.Errorf("the scores changed the logits by %.2g only; the test shows nothing", rel)
	}
}

// TestQwen3NormsRemoveTheScaleOfProjections multiplies query and key projections, which the norms undo.
func TestQwen3NormsRemoveTheScaleOfProjections(t *testing.T) {
	m := randomModel(t, with(qwen3Config, "rms_norm_eps", "0"))
	b := ramp(NewBatch(2, 7), m.Config.VocabSize)
	want := slices.Clone(logits(t, m, b))
	scale(m, "q_proj.weight", 3)
	scale(m, "k_proj.weight", 5)
	if rel := distance(logits(t, m, b), want, nil); rel > 1e-6 {
		t.Errorf("relative difference %.2g", rel)
	}
}

// TestQwen3NormGradientsAgreeWithDifferences moves the norms' weights a little along their gradient.
func TestQwen3NormGradientsAgreeWithDifferences(t *testing.T) {
	m := trainAll(t, randomModel(t, with(qwen3Config, "initializer_range", "0.4")))
	b := ramp(NewBatch(2, 7), m.Config.VocabSize)
	grads := run(t, m, b, Options{}).grads
	for _, p := range m.Params() {
		if !strings.Contains(p.Name, "q_norm") && !strings.Contains(p.Name, "k_norm") {
			continue
		}
		slope := distance(grads[p.Name].F32, make([]float32, p.Value.Len()), nil)
		at := func(step float64) float64 {
			old := slices.Clone(p.Value.F32)
			defer copy(p.Value.F32, old)
			for i, g := range grads[p.Name].F32 {
				p.Value.F32[i] += float32(step / slope * float64(g))
			}
			return run(t, m, b, Options{}).loss
		}
		const h = 0.02
		if got := (at(h) - at(-h)) / (2 * h); math.Abs(got-slope) > 1e-2*slope {
			t.Errorf("%s: the loss changes by %.5g a unit, the gradient says %.5g", p.Name, got, slope)
		}
	}
}

// unitHeads returns a Qwen 3 and a Qwen 2 model of the same weights with two token ids, 0 and 1, whose normalised embeddings consist
// of 1 and -1, and projections of queries and keys that read one coordinate each.
func unitHeads(t *testing.T) (q3, q2 *Model) {
	one := with(qwen3Config, "num_hidden_layers", "1", "rms_norm_eps", "0", "initializer_range", "0.5")
	q3, q2 = randomModel(t, one), randomModel(t, with(one, "model_type", `"qwen2"`))
	n := q3.Config.HiddenSize
	for i := range 2 * n {
		q3.embed.Weight.Value.F32[i] = float32(1 - 2*(i*i/3%2))
	}
	fill(q3, "input_layernorm", func(int) float32 { return 1 })
	for _, name := range []string{"q_proj.weight", "k_proj.weight"} {
		fill(q3, name, func(i int) float32 {
			if row, col := i/n, i%n; col != (5*row+1)%n {
				return 0
			}
			return 1
		})
	}
	copyParams(q2, q3)
	return q3, q2
}

// ids01 fills a row of six tokens with the ids 0 and 1.
func ids01(b *Batch) *Batch {
	copy(b.IDs.I32, []int32{0, 1, 1, 0, 1, 0})
	return b
}
