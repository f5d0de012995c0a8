package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/names"
	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/optim"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/text"
)

// The adapters that a step is measured with.
const (
	LoRA = "lora"
	Full = "full"
)

// seed fixes weights and data.
const seed = 1

// batches is how many different batches the steps go through, again and again.
const batches = 4

// overridable lists the settings of a run's config, or their beginnings, that a step takes over.
var overridable = []string{
	"adapter.", "optimizer.", "train.batch", "train.accumulate", "train.checkpointing", "train.clip_grad_norm", "data.max_length",
}

// setup is a run of a preset, as train/run puts one together, on random data.
type setup struct {
	cfg     *train.Config
	model   *transformer.Model
	adapter *adapters.Adapter
	task    *text.Task
	opt     *optim.Optimizer
}

// newSetup draws the model, attaches the adapter and makes the batches.
func newSetup(o StepOptions, trace graph.Trace) (*setup, error) {
	p, err := presetByName(o.Preset)
	if err != nil {
		return nil, err
	}
	s := &setup{}
	if s.cfg, err = o.config(p); err != nil {
		return nil, err
	}
	dtype, err := storage(o.DType)
	if err != nil {
		return nil, err
	}
	length := s.cfg.Data.MaxLength
	mc, err := p.config(o.Preset, length)
	if err != nil {
		return nil, err
	}
	if s.model, err = transformer.RandomAs(mc, seed, dtype); err != nil {
		return nil, err
	}
	rng := kernel.NewI32(4)
	rng.I32[0] = seed
	if s.adapter, err = adapters.Attach(s.model, s.cfg.Adapter, seed, rng); err != nil {
		return nil, err
	}
	if s.adapter.NeedsGradient() {
		return nil, UsageError{fmt.Sprintf("init %s: a step is measured after the start, which takes passes of its own; choose another init", s.cfg.Adapter.Init.Name)}
	}
	source, err := text.NewBatcher(randomExamples(batches*s.cfg.Train.Batch, length, mc.VocabSize), text.BatchOptions{
		Size: s.cfg.Train.Batch, MaxLength: length, Hold: s.cfg.Train.Accumulate,
	})
	if err != nil {
		return nil, err
	}
	s.task = text.NewTask(s.model, s.adapter.Trainables(), source, text.TaskOptions{
		Checkpoint: s.cfg.Train.Checkpointing, Rng: rng, Trace: trace,
	})
	s.opt, err = optim.New(s.cfg.Optimizer.Rule, s.adapter.Points(), s.cfg.OptimConfig())
	return s, err
}

// config returns the config of the run.
func (o StepOptions) config(p preset) (*train.Config, error) {
	adapter := "{type: full}"
	switch o.Adapter {
	case LoRA:
		adapter = fmt.Sprintf("{type: lora, rank: 16, alpha: 32, targets: %s}", p.targets)
	case Full:
	default:
		return nil, UsageError{names.Unknown("adapter", o.Adapter, []string{LoRA, Full})}
	}
	file := fmt.Sprintf(`model: {path: random}
data: {train: [random], max_length: %d}
adapter: %s
optimizer: {lr: 1e-4, weight_decay: 0.01}
train: {batch: %d, steps: %d}
`, p.length, adapter, p.rows, o.Warmup+o.Steps)
	for _, set := range o.Sets {
		if !allowed(set) {
			return nil, UsageError{fmt.Sprintf("--set %s: a step is measured with the preset's model and data; what can be set is %s",
				set, strings.Join(overridable, ", "))}
		}
	}
	return train.ParseConfig("preset "+o.Preset, []byte(file), o.Sets)
}

func allowed(set string) bool {
	key, _, _ := strings.Cut(set, "=")
	for _, k := range overridable {
		if key == k && !strings.HasSuffix(k, ".") || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) {
			return key != "adapter.type" && key != "adapter.from"
		}
	}
	return false
}

// storage returns the type of that name in which frozen weights are kept.
func storage(name string) (kernel.DType, error) {
	d, ok := kernel.FromTorch(name)
	if !ok {
		return d, UsageError{names.Unknown("dtype", name, kernel.TorchNames())}
	}
	return d, nil
}

// randomExamples returns n examples of the same length, each token of which but the first is to be predicted from those before it.
func randomExamples(n, length, vocabulary int) []text.Example {
	rng := rand.New(rand.NewPCG(seed, 2))
	examples := make([]text.Example, n)
	for i := range examples {
		ex := text.Example{IDs: make([]int32, length), Learn: make([]bool, length)}
		for t := range length {
			ex.IDs[t], ex.Learn[t] = int32(rng.IntN(vocabulary)), t > 0
		}
		examples[i] = ex
	}
	return examples
}
