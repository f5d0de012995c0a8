package adapters

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/internal/names"
)

// The names of the adapter types.
const (
	typeLoRA = "lora"
	typeDoRA = "dora"
	typeFull = "full"
)

// adapterType is one kind of adapter.
type adapterType struct {
	// validate checks a config without a model.
	validate func(Config) error
	// read returns the config that builds the adapter of a file with these settings, if it is of this type; nil settings mean plain
	// weights.
	read func(formats.Settings) (Config, bool)
	// attach puts the adapter onto the builder's model.
	attach func(*builder) error
}

// types lists the adapter types by the name that a config has.
var types = map[string]adapterType{
	typeLoRA: {validateLoRA, readLoRA, attachLoRA},
	typeDoRA: {validateLoRA, readDoRA, attachLoRA},
	typeFull: {validateFull, readFull, attachFull},
}

// inits lists the initialisations of LoRA factors.
var inits = map[string]initializer{
	"default":      {fill: kaimingInit, peft: "default"},
	"gaussian":     {fill: gaussianInit, peft: "gaussian"},
	"orthogonal":   {fill: orthogonalInit, peft: "orthogonal"},
	"stiefel_a":    {fill: stiefelAInit, triplets: 1},
	"stiefel_b":    {fill: stiefelBInit, triplets: 1},
	"stiefel_both": {fill: stiefelInit, triplets: 1, defaults: Init{Base: BaseCarried, Scale: 0.01}},
	"pissa":        {fill: pissaInit, fromWeight: true, triplets: 1, peft: "pissa", defaults: Init{Base: BaseModified}},
	"olora":        {fill: oloraInit, fromWeight: true, triplets: 1, peft: "olora", defaults: Init{Base: BaseModified}},
	"milora":       {fill: miloraInit, fromWeight: true, triplets: 1, defaults: Init{Base: BaseCarried}},
	"loi":          {gradient: loiInit, triplets: 2, defaults: Init{Base: BaseCarried, Scale: -0.01, Oversample: oversample, Power: &power}},
	"lora_ga":      {gradient: loraGAInit, triplets: 2, defaults: Init{Base: BaseCarried, Gamma: 16, Oversample: oversample, Power: &power}},
	"lora_one":     {gradient: loraOneInit, triplets: 1, defaults: Init{Gamma: 128, Oversample: oversample, Power: &power}},
}

// The defaults of the randomised decomposition of the gradient, those of arXiv 2507.12142, Appendix F.
const oversample = 16

var power = 1

// Types returns the names of the adapter types.
func Types() []string { return slices.Sorted(maps.Keys(types)) }

// Inits returns the names of the initialisations.
func Inits() []string { return slices.Sorted(maps.Keys(inits)) }

func typeByName(name string) (adapterType, error) {
	t, ok := types[name]
	if !ok {
		return t, fmt.Errorf("adapters: %s", names.Unknown("type", name, Types()))
	}
	return t, nil
}

func initByName(name string) (initializer, error) {
	i, ok := inits[name]
	if !ok {
		return i, errors.New(names.Unknown("init", name, Inits()))
	}
	return i, nil
}
