package adapters

import (
	"errors"
	"fmt"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
	"github.com/geotune/geotune/optim"
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
	if b.file != nil && !modifiesBase(name) {
		return nil
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

func modifiesBase(name string) bool {
	init, err := initByName(name)
	return err == nil && init.modifiesBase
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

// loraLinear is y = x·Wᵀ + b + scale·(x·Aᵀ·Bᵀ + bB) on a linear layer.
type loraLinear struct {
	layer   *layers.Linear
	base    *graph.Param // the layer's weight; layer.Weight is another one after an initialisation that modifies the base
	scale   float32
	a, b    *Trainable
	bias    *Trainable // of B, or nil
	dropout *layers.Dropout
}

// ApplyLinear implements layers.LinearAdapter.
func (p *loraLinear) ApplyLinear(g *graph.Graph, l *layers.Linear, x *graph.Node) *graph.Node {
	in := append(l.Inputs(g, x), g.Param(p.a.Param), g.Param(p.b.Param))
	if p.bias != nil {
		in = append(in, g.Param(p.bias.Param))
	}
	in, dropped := p.drop(g, in, x)
	return g.Apply(kernel.LoRA{Scale: p.scale, Bias: l.Bias != nil, InOut: l.InOut, LoRABias: p.bias != nil, Dropped: dropped}, in...)
}

// drop appends the dropped-out x of the adapter's path, where dropout is on.
func (p *loraLinear) drop(g *graph.Graph, in []*graph.Node, x *graph.Node) ([]*graph.Node, bool) {
	xd := p.dropout.Apply(g, x)
	if xd == x {
		return in, false
	}
	return append(in, xd), true
}

func (p *loraLinear) name() string { return p.layer.Name }

func (p *loraLinear) trainables() []*Trainable {
	t := []*Trainable{p.a, p.b}
	if p.bias != nil {
		t = append(t, p.bias)
	}
	return t
}

func (p *loraLinear) points() []optim.Point {
	points := []optim.Point{lowRank(p.layer.Name, p.a, p.b, p.scale)}
	if p.bias != nil {
		points = append(points, optim.NewEuclidean(p.bias.tensor()))
	}
	return points
}

// lowRank returns the point of a pair of factors.
func lowRank(name string, a, b *Trainable, scale float32) optim.Point {
	p, err := optim.NewLowRank(name, a.tensor(), b.tensor(), scale)
	if err != nil {
		panic(err) // the factors were made to fit
	}
	return p
}

// takeOut replaces the layer's weight by W − scale·B·A, rounded to its storage type as PEFT does. W itself stays as it is.
func (p *loraLinear) takeOut() {
	l := p.layer
	w := outIn(l)
	addProduct(w, -p.scale, p.b.Param.Value.F32, p.a.Param.Value.F32, l.Out, p.a.Param.Value.Shape[0], l.In)
	v := p.base.Value
	l.Weight = graph.FrozenParam(p.base.Name+".residual", stored(fromOutIn(l, w), v.DType, v.Shape))
}

// merged returns W + scale·B·A in float32, (out,in).
func (p *loraLinear) merged() []float32 {
	w := outIn(p.layer)
	addProduct(w, p.scale, p.b.Param.Value.F32, p.a.Param.Value.F32, p.layer.Out, p.a.Param.Value.Shape[0], p.layer.In)
	return w
}

func (p *loraLinear) fuse(f *fusion) error {
	f.set(p.base, fromOutIn(p.layer, p.merged()))
	if p.bias == nil {
		return nil
	}
	if p.layer.Bias == nil {
		return errors.New("the factor B has a bias (lora_bias), but the layer has none to add it to")
	}
	bias := append([]float32(nil), p.layer.Bias.Value.Floats()...)
	axpy(bias, p.scale, p.bias.Param.Value.F32)
	f.set(p.layer.Bias, bias)
	return nil
}

func (p *loraLinear) detach() { p.layer.Adapter, p.layer.Weight = nil, p.base }
