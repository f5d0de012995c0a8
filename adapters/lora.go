package adapters

import (
	"errors"
	"fmt"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/layers"
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
	if err := b.start(p, l.Init, rank); err != nil {
		return err
	}
	if !l.DoRA {
		m.linear.Adapter = p
		b.add(p)
		return nil
	}
	d := &doraLinear{loraLinear: p, magnitude: newParam(m.name, formats.KindMagnitude, out)}
	copy(d.magnitude.Param.Value.F32, rowNorms(p.merged(), out, in))
	m.linear.Adapter = d
	b.add(d)
	return nil
}

// start runs the initialisation. The factors of a stored adapter come from its file, but what the initialisation took out of the base
// weight has to be taken out again.
func (b *builder) start(p *loraLinear, name string, rank int) error {
	if b.file != nil {
		if strings.HasPrefix(name, "pissa_niter_") { // whose randomised SVD approximates the exact one
			name = "pissa"
		}
		if !inits[name].modifiesBase {
			return nil
		}
	}
	init, err := initByName(name)
	if err != nil {
		return err
	}
	if init.modifiesBase {
		if err := b.canReplace(p.layer, name); err != nil {
			return err
		}
	}
	x := &initInput{
		rng: b.random(p.layer.Name), in: p.layer.In, out: p.layer.Out, rank: rank, scale: p.scale,
		weight: func() []float32 { return outIn(p.layer) }, a: p.a.Param.Value.F32, b: p.b.Param.Value.F32,
	}
	if err := init.fill(x); err != nil {
		return err
	}
	if init.modifiesBase {
		p.takeOut()
	}
	return nil
}

// canReplace refuses to start from the weight where PEFT could not do the same on loading.
func (b *builder) canReplace(l *layers.Linear, name string) error {
	if users := b.users[l.Weight]; len(users) > 1 {
		return fmt.Errorf("init %s changes the weight, which is shared by %q; leave the module out of targets", name, users)
	}
	if name == "olora" && l.InOut {
		return errors.New("init olora is not defined for weights stored as (in, out), the Conv1D of GPT-2; use pissa")
	}
	return nil
}
