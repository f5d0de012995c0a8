package adapters

import (
	"hash/fnv"
	"math/rand/v2"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
)

// builder is an adapter while it is attached.
type builder struct {
	*Adapter
	file    *formats.Adapter // the stored adapter that will be loaded, nil for a new one
	seed    uint64
	rng     *kernel.Tensor
	modules []module
}

// usersOf lists the modules by their weights.
func usersOf(m Model) map[*graph.Param][]string {
	users := map[*graph.Param][]string{}
	for _, mod := range modulesOf(m) {
		p := *mod.weight()
		users[p] = append(users[p], mod.name)
	}
	return users
}

// random returns the generator of a module's initial values.
func (b *builder) random(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	seed := b.seed
	if own := b.config.Init.Seed; own != nil {
		seed = *own
	}
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// dropout returns the dropout at a module's input, nil for none.
func (b *builder) dropout(m *module, p float64) *layers.Dropout {
	if p == 0 || b.rng == nil {
		return nil
	}
	site := kernel.NewI32(1)
	site.I32[0] = m.site
	return &layers.Dropout{P: float32(p), Rng: b.rng, Site: site, Name: m.name + ".lora_dropout"}
}

// newParam returns a trainable for a tensor of an adapted module, zeroed, under the name by which PEFT saves it.
func newParam(module, kind string, shape ...int) *Trainable {
	key := formats.Prefix + formats.Key{Module: module, Kind: kind}.String()
	return newTrainable(key, graph.NewParam(key, shape...))
}
