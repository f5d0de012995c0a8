package adapters

import (
	"fmt"
	"slices"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/optim"
)

// trainAlong trains the modules of modules_to_save whole, then the biases that the setting bias names.
func (b *builder) trainAlong(l *formats.LoRA, adapted []module) error {
	if len(l.Save) > 0 {
		if err := b.trainModules(l); err != nil {
			return err
		}
	}
	if l.Bias == formats.BiasNone {
		return nil
	}
	keys := map[*graph.Param]string{}
	for i := range adapted {
		if bias := adapted[i].bias(); bias != nil {
			keys[*bias] = formats.Prefix + formats.Key{Module: adapted[i].name, Kind: formats.KindBaseBias}.String()
		}
	}
	if l.Bias == formats.BiasAll {
		for _, p := range b.model.Params() {
			if strings.HasSuffix(p.Name, ".bias") && keys[p] == "" && !l.Saves(p.Name) {
				keys[p] = formats.Prefix + p.Name
			}
		}
	}
	if len(keys) == 0 {
		b.notes = append(b.notes, fmt.Sprintf("bias is %s, but there is no such bias in the model", l.Bias))
	}
	return b.trainParams(keys)
}

// trainModules makes what modules_to_save names trainable. Linear layers and embeddings get a weight and a bias of their own, which
// also unties them, as PEFT's copies do.
func (b *builder) trainModules(l *formats.LoRA) error {
	if err := b.everySaved(l); err != nil {
		return err
	}
	for i := range b.modules {
		m := &b.modules[i]
		if l.Saves(m.name + ".weight") {
			b.add(newReplaced(m.name+".weight", m.weight()))
			if bias := m.bias(); bias != nil {
				b.add(newReplaced(m.name+".bias", bias))
			}
		}
	}
	keys := map[*graph.Param]string{}
	for _, p := range b.model.Params() {
		if l.Saves(p.Name) && !b.ofModule(p.Name) {
			keys[p] = formats.Prefix + p.Name
		}
	}
	return b.trainParams(keys)
}

// everySaved checks that each entry of modules_to_save names something; a stored adapter may list the heads of other model classes.
func (b *builder) everySaved(l *formats.LoRA) error {
	var names []string
	for i := range b.modules {
		names = append(names, b.modules[i].name+".weight")
	}
	for _, p := range b.model.Params() {
		names = append(names, p.Name)
	}
	for _, entry := range l.Save {
		one := formats.LoRA{Save: []string{entry}}
		if slices.ContainsFunc(names, one.Saves) {
			continue
		}
		if b.file == nil {
			return fmt.Errorf("modules_to_save: %q matches no module%s; %s", entry, hint(entry, b.modules), candidates(b.modules))
		}
		b.notes = append(b.notes, fmt.Sprintf("modules_to_save names %q, which the model does not have", entry))
	}
	return nil
}

// ofModule reports whether a parameter is the weight or bias of a linear layer or embedding.
func (b *builder) ofModule(param string) bool {
	return slices.ContainsFunc(b.modules, func(m module) bool { return param == m.name+".weight" || param == m.name+".bias" })
}

// trainParams makes parameters of the model trainable, in the model's order, under the given keys.
func (b *builder) trainParams(keys map[*graph.Param]string) error {
	if len(keys) == 0 {
		return nil
	}
	names := map[string]bool{}
	for p := range keys {
		names[p.Name], b.base[p] = true, p.Value
	}
	if err := b.model.MakeTrainable(func(name string) bool { return names[name] }); err != nil {
		return err
	}
	for _, p := range b.model.Params() {
		if key := keys[p]; key != "" {
			b.add(&trainedParam{base: b.base[p], t: newTrainable(key, p)})
		}
	}
	return nil
}

// trainedParam is a parameter of the model that is trained itself.
type trainedParam struct {
	base *kernel.Tensor // its value before
	t    *Trainable
}

func (p *trainedParam) name() string             { return p.t.Param.Name }
func (p *trainedParam) trainables() []*Trainable { return []*Trainable{p.t} }
func (p *trainedParam) points() []optim.Point    { return []optim.Point{optim.NewEuclidean(p.t.tensor())} }
func (p *trainedParam) detach()                  { p.t.Param.Value, p.t.Param.Trainable = p.base, false }

func (p *trainedParam) fuse(f *fusion) error {
	f.set(p.t.Param, p.t.Param.Value.F32)
	return nil
}

// replaced is a parameter of a module that is trained in the place of the model's own.
type replaced struct {
	slot *(*graph.Param) // in the layer
	base *graph.Param
	t    *Trainable
}

// newReplaced puts a trainable copy into the slot; path is the parameter's in the module tree.
func newReplaced(path string, slot **graph.Param) *replaced {
	base := *slot
	p := graph.NewParam(formats.Prefix+path, base.Value.Shape...)
	copy(p.Value.F32, base.Value.Floats())
	*slot = p
	return &replaced{slot: slot, base: base, t: newTrainable(p.Name, p)}
}

func (p *replaced) name() string             { return pathOf(p.t) }
func (p *replaced) trainables() []*Trainable { return []*Trainable{p.t} }
func (p *replaced) points() []optim.Point    { return []optim.Point{optim.NewEuclidean(p.t.tensor())} }
func (p *replaced) detach()                  { *p.slot = p.base }

func (p *replaced) fuse(f *fusion) error {
	f.set(p.base, p.t.Param.Value.F32)
	return nil
}
