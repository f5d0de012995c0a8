package adapters

import (
	"fmt"

	"github.com/geotune/geotune/adapters/formats"
)

// validateLoRA checks the settings of lora and dora.
func validateLoRA(c Config) error {
	l, err := c.lora()
	if err != nil {
		return err
	}
	_, err = newSelector(l)
	return err
}

// readLoRA recognises a stored LoRA adapter.
func readLoRA(s formats.Settings) (Config, bool) {
	l, ok := s.(*formats.LoRA)
	if !ok || l.DoRA {
		return Config{}, false
	}
	return Config{
		Type: typeLoRA, Rank: l.Rank, Alpha: l.Alpha, UseRSLoRA: l.RSLoRA, Dropout: l.Dropout, Targets: l.Targets.Value(),
		Exclude: l.Exclude.Value(), LayersToTransform: l.Indices, LayersPattern: l.Pattern, RankPattern: l.Ranks, AlphaPattern: l.Alphas,
		Bias: l.Bias, ModulesToSave: l.Save, LoRABias: l.LoRABias, Init: Init{Name: l.Init},
	}, true
}

// attachLoRA adapts the targeted modules with LoRA or DoRA and adds the biases and modules that are trained along.
func attachLoRA(b *builder) error {
	l, err := b.loraSettings()
	if err != nil {
		return err
	}
	matched, err := selectModules(b.modules, l, b.file == nil)
	if err != nil {
		return err
	}
	if err := b.allStored(matched); err != nil {
		return err
	}
	ranks, err := formats.NewPatterns(l.Ranks)
	if err != nil {
		return fmt.Errorf("rank_pattern: %w", err)
	}
	alphas, err := formats.NewPatterns(l.Alphas)
	if err != nil {
		return fmt.Errorf("alpha_pattern: %w", err)
	}
	for i := range matched {
		m := &matched[i]
		rank, _ := ranks.Lookup(m.name, l.Rank)
		alpha, _ := alphas.Lookup(m.name, l.Alpha)
		if err := b.adapt(m, l, rank, l.Scale(rank, alpha)); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		l.FanInOut = l.FanInOut || m.linear != nil && m.linear.InOut
	}
	if l.Targets.AllLinear() {
		l.Targets = shortest(b.modules, matched, *l)
	}
	b.settings = l
	return b.trainAlong(l, matched)
}

// allStored checks that a file has factors for every module that its settings select, before memory is taken for them.
func (b *builder) allStored(matched []module) error {
	if b.file == nil {
		return nil
	}
	var missing []string
	for i := range matched {
		kind := formats.KindA
		if matched[i].embedding != nil {
			kind = formats.KindEmbeddingA
		}
		key := formats.Key{Module: matched[i].name, Kind: kind}.String()
		if _, ok := b.file.Tensors[key]; !ok {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s lacks %s; its target modules %s select these layers of the model; is it for another model?",
			b.file.Path, some(missing), b.file.Settings.(*formats.LoRA).Targets)
	}
	return nil
}

// loraSettings returns the settings of the config, or those of the file.
func (b *builder) loraSettings() (*formats.LoRA, error) {
	if b.file == nil {
		return b.config.lora()
	}
	l := *b.file.Settings.(*formats.LoRA)
	l.Dropout = b.config.Dropout
	return &l, nil
}

// adapt puts the factors onto one module.
func (b *builder) adapt(m *module, l *formats.LoRA, rank int, scale float32) error {
	if m.embedding != nil {
		if b.file == nil && (b.carries() || b.config.Init.FromGradient()) {
			return fmt.Errorf("init %s is for linear layers; leave the embedding out of targets", b.config.Init.Name)
		}
		return b.adaptEmbedding(m, l, rank, scale)
	}
	in, out := m.linear.In, m.linear.Out
	p := &loraLinear{
		layer: m.linear, base: m.linear.Weight, scale: scale, dropout: b.dropout(m, l.Dropout),
		a: newParam(m.name, formats.KindA, rank, in), b: newParam(m.name, formats.KindB, out, rank),
	}
	if l.LoRABias {
		p.bias = newParam(m.name, formats.KindBBias, out)
	}
	if err := b.start(p, l.Init); err != nil {
		return err
	}
	if !l.DoRA {
		m.linear.Adapter = p
		b.add(p)
		return nil
	}
	d := &doraLinear{loraLinear: p, magnitude: newParam(m.name, formats.KindMagnitude, out)}
	if b.file == nil { // which has them
		d.measure()
	}
	m.linear.Adapter = d
	b.add(d)
	return nil
}
