package train

import (
	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/internal/strictyaml"
	"github.com/geotune/geotune/optim"
)

// Config is a run's configuration file. Relative paths are relative to the working directory, and builtin:NAME is a file that comes
// with the program (see package configs). LoadConfig is the way to get one: it knows the defaults.
type Config struct {
	Model     ModelConfig     `yaml:"model"`
	Data      DataConfig      `yaml:"data"`
	Adapter   adapters.Config `yaml:"adapter"`
	Optimizer OptimizerConfig `yaml:"optimizer"`
	Schedule  ScheduleConfig  `yaml:"schedule"`
	Train     TrainConfig     `yaml:"train"`
	Eval      EvalConfig      `yaml:"eval"`
	// Out is the run's folder, runs/<name of the config file> by default.
	Out string `yaml:"out"`
}

// The values of ModelConfig.Init.
const (
	InitPretrained = "pretrained"
	InitRandom     = "random"
)

// ModelConfig names the base model.
type ModelConfig struct {
	// Path is a Hugging Face model directory.
	Path string `yaml:"path"`
	// Init is pretrained (the default), or random: weights are drawn with train.seed, and the directory needs no weights but
	// config.json and the tokenizer's files.
	Init string `yaml:"init"`
	// DType is the type in which full fine-tuning stores weights: auto (the default) keeps that of the base model, float32 for a
	// random one; or float32, bfloat16, float16.
	DType string `yaml:"dtype"`
}

// Files is a list of paths, in YAML also one path alone.
type Files []string

// UnmarshalText reads a single path.
func (f *Files) UnmarshalText(text []byte) error {
	*f = Files{string(text)}
	return nil
}

// DataConfig names the data by kind and says how records become batches.
type DataConfig struct {
	// Train and HeldOut are JSONL files (see text.Record).
	Train   Files `yaml:"train"`
	HeldOut Files `yaml:"heldout"`
	// HeldOutLimit bounds the held-out records that are read, from the start; 0 = all.
	HeldOutLimit int `yaml:"heldout_limit"`
	// Tensors is a safetensors file with one batch by the names of the Hugging Face forward (input_ids, attention_mask, labels). It
	// takes the place of Train, and every step trains on it: this reproduces a run of another framework.
	Tensors string `yaml:"tensors"`
	// MaxLength bounds the tokens of a row; the default is 512.
	MaxLength int `yaml:"max_length"`
	// Pack puts several examples into a row, which do not see each other.
	Pack bool `yaml:"pack"`
	// TrainOnPrompt makes the loss count prompts too, not completions alone.
	TrainOnPrompt bool `yaml:"train_on_prompt"`
	// Shuffle deals each epoch in an order of its own, which train.seed fixes; default on.
	Shuffle bool `yaml:"shuffle"`
}

// OptimizerConfig chooses an update rule. In YAML the rule's own settings stand beside these keys.
type OptimizerConfig struct {
	// Name is a registered rule's, adamw by default.
	Name string `yaml:"name"`
	// LR and WeightDecay are the rule's own Defaults where the file does not set them.
	LR          float64 `yaml:"lr"`
	WeightDecay float64 `yaml:"weight_decay"`
	// DecayMatricesOnly spares biases, norms and scales from WeightDecay.
	DecayMatricesOnly bool          `yaml:"decay_matrices_only"`
	Groups            []optim.Group `yaml:"groups"`
	// Rule is the rule of that name.
	Rule optim.Rule `yaml:",inline"`
}

// ScheduleConfig shapes the learning rate over the run.
type ScheduleConfig struct {
	// Name is a registered schedule's, constant by default.
	Name string `yaml:"name"`
	// Warmup counts steps.
	Warmup int `yaml:"warmup"`
}

// TrainConfig says how long and in which portions a run trains.
type TrainConfig struct {
	// Steps counts optimizer steps; Epochs counts passes over the data. One of them is set.
	Steps  int `yaml:"steps"`
	Epochs int `yaml:"epochs"`
	// Batch is the rows of a micro-batch, 8 by default, Accumulate the micro-batches of a step, 1 by default.
	Batch      int `yaml:"batch"`
	Accumulate int `yaml:"accumulate"`
	// ClipGradNorm bounds the norm of all gradients together; 0 (the default) is off.
	ClipGradNorm float64 `yaml:"clip_grad_norm"`
	// SaveEvery is the steps between checkpoints, 100 by default; 0 saves only at the end.
	SaveEvery int `yaml:"save_every"`
	// KeepCheckpoints is how many of the newest are kept beside the best, 3 by default; 0 = all.
	KeepCheckpoints int `yaml:"keep_checkpoints"`
	// EvalEvery is the steps between evaluations on the held-out data, 100 by default; 0 = never.
	EvalEvery int `yaml:"eval_every"`
	// SpectrumEvery is the steps between lines of metrics.jsonl that tell how near the low-rank updates are to a lower rank, 10 by
	// default; 0 = none.
	SpectrumEvery int `yaml:"spectrum_every"`
	// Seed fixes every random choice of the run; default 0.
	Seed uint64 `yaml:"seed"`
	// Checkpointing computes the activations of each layer again in the backward pass instead of keeping them.
	Checkpointing bool `yaml:"checkpointing"`
}

// EvalConfig says how held-out data is evaluated.
type EvalConfig struct {
	// Batch is the rows evaluated at once, 8 by default.
	Batch int `yaml:"batch"`
	// Patience is how many evaluations may pass without a lower loss before the run ends; 0 (the default) = any number.
	Patience int `yaml:"patience"`
}

const defaultRule = "adamw"

// DefaultConfig returns what a file that sets nothing stands for. It is not complete: model, data and length of the run are missing.
func DefaultConfig() *Config {
	c := &Config{
		Model:    ModelConfig{Init: InitPretrained, DType: "auto"},
		Data:     DataConfig{Train: Files{}, HeldOut: Files{}, MaxLength: 512, Shuffle: true},
		Schedule: ScheduleConfig{Name: "constant"},
		Train:    TrainConfig{Batch: 8, Accumulate: 1, SaveEvery: 100, KeepCheckpoints: 3, EvalEvery: 100, SpectrumEvery: 10},
		Eval:     EvalConfig{Batch: 8},
	}
	if err := c.Optimizer.use(defaultRule); err != nil {
		panic(err) // package optim registers it
	}
	return c
}

// use takes up the rule of the given name with all its defaults.
func (o *OptimizerConfig) use(name string) error {
	rule, err := optim.NewRule(name)
	if err != nil {
		return err
	}
	h := rule.Defaults()
	o.Name, o.Rule, o.LR, o.WeightDecay = name, rule, h.LR, h.WeightDecay
	return nil
}

// OptimConfig returns what the optimizer does besides its rule.
func (c *Config) OptimConfig() optim.Config {
	return optim.Config{
		WeightDecay: c.Optimizer.WeightDecay, DecayMatricesOnly: c.Optimizer.DecayMatricesOnly,
		ClipGradNorm: c.Train.ClipGradNorm, Groups: c.Optimizer.Groups,
	}
}

// YAML writes the config with every default visible. LoadConfig reads it back to the same config.
func (c *Config) YAML() ([]byte, error) {
	resolved := *c
	resolved.Adapter = c.adapter()
	return strictyaml.Marshal(resolved)
}

// adapter returns the adapter's section with every default.
func (c *Config) adapter() adapters.Config {
	a := c.Adapter.WithDefaults()
	if a.Init.FromGradient() && a.Init.Batches == 0 {
		a.Init.Batches = c.Train.Accumulate
	}
	return a
}
