package formats

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
)

// The values of LoRA.Bias: which biases of the base model are trained along.
const (
	BiasNone     = "none"
	BiasAll      = "all"
	BiasLoRAOnly = "lora_only" // those of adapted layers
)

// LoRA holds the settings of PEFT's type LORA, DoRA included, under the names of its LoraConfig in adapter_config.json.
type LoRA struct {
	Rank     int                // r
	Alpha    float64            // lora_alpha
	RSLoRA   bool               // use_rslora: the scale is alpha/√r instead of alpha/r
	DoRA     bool               // use_dora
	Dropout  float64            // lora_dropout
	Bias     string             // bias
	LoRABias bool               // lora_bias: the factor B has a bias
	Targets  Selection          // target_modules
	Exclude  Selection          // exclude_modules
	Indices  []int              // layers_to_transform
	Pattern  []string           // layers_pattern
	Ranks    map[string]int     // rank_pattern
	Alphas   map[string]float64 // alpha_pattern
	Save     []string           // modules_to_save
	FanInOut bool               // fan_in_fan_out: the base stores its weights (in, out)
	// Init is init_lora_weights, with "default" for true and "none" for false. "pissa", "pissa_niter_N" and "olora" mean that the
	// base weight without its initial factors stands under the adapter.
	Init string
}

// PEFTType returns "LORA".
func (l *LoRA) PEFTType() string { return "LORA" }

// readLoRA takes the keys of a LoraConfig.
func readLoRA(o *object) (Settings, error) {
	l := &LoRA{
		Rank:     take(o, "r", 8),
		Alpha:    take(o, "lora_alpha", 8.0),
		RSLoRA:   take(o, "use_rslora", false),
		DoRA:     take(o, "use_dora", false),
		Dropout:  take(o, "lora_dropout", 0.0),
		Bias:     take(o, "bias", BiasNone),
		LoRABias: take(o, "lora_bias", false),
		Targets:  take(o, "target_modules", Selection{}),
		Exclude:  take(o, "exclude_modules", Selection{}),
		Indices:  takeList[int](o, "layers_to_transform"),
		Pattern:  takeList[string](o, "layers_pattern"),
		Ranks:    take[map[string]int](o, "rank_pattern", nil),
		Alphas:   take[map[string]float64](o, "alpha_pattern", nil),
		Save:     take[[]string](o, "modules_to_save", nil),
		FanInOut: take(o, "fan_in_fan_out", false),
	}
	l.Init = readInit(o)
	// What configures features that are off, or an initialisation that has happened.
	o.ignore("megatron_core", "qalora_group_size", "loftq_config", "eva_config", "lora_ga_config", "runtime_config")
	if err := o.finish(); err != nil {
		return nil, err
	}
	return l, l.Validate()
}

var pissa = regexp.MustCompile(`^pissa(_niter_\d+)?$`)

// readInit translates init_lora_weights.
func readInit(o *object) string {
	const key = "init_lora_weights"
	switch string(o.fields[key]) {
	case "true", "null", "":
		o.ignore(key)
		return "default"
	case "false":
		o.ignore(key)
		return "none"
	}
	name := take(o, key, "")
	lower := strings.ToLower(name)
	switch {
	case name == "corda" || name == "loftq":
		o.fail(key, "that can be redone from the base weights alone (true, false, gaussian, orthogonal, eva, mica, lora_ga, pissa, pissa_niter_N, olora); convert the adapter with PEFT's path_initial_model_for_weight_conversion")
	case lower == "gaussian" || lower == "olora" || lower == "mica":
		return lower
	case name == "orthogonal" || name == "eva" || name == "lora_ga" || pissa.MatchString(name):
		return name
	default:
		o.fail(key, "among true, false, gaussian, orthogonal, eva, mica, lora_ga, pissa, pissa_niter_N, olora")
	}
	return name
}

// maxRank bounds ranks: no layer in use is as wide.
const maxRank = 1 << 16

// Validate checks the settings against one another, as PEFT's LoraConfig does.
func (l *LoRA) Validate() error {
	for pattern, r := range l.Ranks {
		if r < 1 || r > maxRank {
			return fmt.Errorf("rank_pattern: rank of %q is %d, expected 1 to %d", pattern, r, maxRank)
		}
	}
	switch {
	case l.Rank < 1 || l.Rank > maxRank:
		return fmt.Errorf("rank r is %d, expected 1 to %d", l.Rank, maxRank)
	case math.IsNaN(l.Alpha) || math.IsInf(l.Alpha, 0):
		return fmt.Errorf("alpha is %v, expected a finite number", l.Alpha)
	case !(l.Dropout >= 0 && l.Dropout < 1):
		return fmt.Errorf("dropout is %v, expected a probability in [0, 1)", l.Dropout)
	case l.Bias != BiasNone && l.Bias != BiasAll && l.Bias != BiasLoRAOnly:
		return fmt.Errorf("bias is %q, expected none, all or lora_only", l.Bias)
	case l.DoRA && l.LoRABias:
		return errors.New("lora_bias does not go with DoRA; switch one of them off")
	case l.LoRABias && l.Init != "" && l.Init != "default" && l.Init != "none":
		return fmt.Errorf("lora_bias goes with the default init only, found %s", l.Init)
	case l.Targets.Pattern != "" && (len(l.Indices) > 0 || len(l.Pattern) > 0):
		return errors.New("layers_to_transform and layers_pattern need target modules as a list, not as a regular expression")
	case len(l.Pattern) > 0 && len(l.Indices) == 0:
		return errors.New("layers_pattern needs layers_to_transform")
	}
	return nil
}

// fields returns the keys of adapter_config.json. What older releases of PEFT do not know is left out while it is off.
func (l *LoRA) fields() map[string]any {
	f := map[string]any{
		"r": l.Rank, "lora_alpha": l.Alpha, "use_rslora": l.RSLoRA, "use_dora": l.DoRA, "lora_dropout": l.Dropout, "bias": l.Bias,
		"target_modules": l.Targets, "layers_to_transform": nil, "layers_pattern": nil,
		"rank_pattern": emptyMap(l.Ranks), "alpha_pattern": emptyMap(l.Alphas), "modules_to_save": nil,
		"fan_in_fan_out": l.FanInOut, "init_lora_weights": l.initValue(),
	}
	if len(l.Indices) > 0 {
		f["layers_to_transform"] = l.Indices
	}
	if len(l.Pattern) > 0 {
		f["layers_pattern"] = l.Pattern
	}
	if len(l.Save) > 0 {
		f["modules_to_save"] = l.Save
	}
	if !l.Exclude.IsZero() {
		f["exclude_modules"] = l.Exclude
	}
	if l.LoRABias {
		f["lora_bias"] = true
	}
	return f
}

func (l *LoRA) initValue() any {
	switch l.Init {
	case "", "default":
		return true
	case "none":
		return false
	}
	return l.Init
}

// emptyMap returns {} for nil.
func emptyMap[T any](m map[string]T) any {
	if m == nil {
		return json.RawMessage("{}")
	}
	return m
}

// Scale returns the factor s of ΔW = s·B·A for a layer of the given rank and alpha.
func (l *LoRA) Scale(rank int, alpha float64) float32 {
	if l.RSLoRA {
		return float32(alpha / math.Sqrt(float64(rank)))
	}
	return float32(alpha / float64(rank))
}
