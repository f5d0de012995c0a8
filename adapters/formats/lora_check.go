package formats

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Layer is one adapted layer in a LoRA file.
type Layer struct {
	Module    string
	Rank      int
	Alpha     float64
	Scale     float32
	Embedding bool
	A, B      Tensor
	Magnitude *Tensor // of DoRA
}

// Layers returns the adapted layers in lexical order, checking that every tensor belongs to a setting, every factor has its partner
// and the rank that the settings state.
func (l *LoRA) Layers(t Tensors) ([]Layer, error) {
	ranks, err := NewPatterns(l.Ranks)
	if err != nil {
		return nil, fmt.Errorf("rank_pattern: %w", err)
	}
	alphas, err := NewPatterns(l.Alphas)
	if err != nil {
		return nil, fmt.Errorf("alpha_pattern: %w", err)
	}
	groups, err := l.group(t)
	if err != nil {
		return nil, err
	}
	var layers []Layer
	for _, module := range slices.Sorted(maps.Keys(groups)) {
		layer := Layer{Module: module}
		layer.Rank, _ = ranks.Lookup(module, l.Rank)
		layer.Alpha, _ = alphas.Lookup(module, l.Alpha)
		layer.Scale = l.Scale(layer.Rank, layer.Alpha)
		if err := layer.fill(groups[module], l.DoRA); err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	if len(layers) == 0 {
		return nil, fmt.Errorf("holds no tensor of an adapted layer; expected names that end in .%s and .%s", KindA, KindB)
	}
	return layers, nil
}

// group sorts the tensors of adapted layers by module and kind, and refuses those that no setting accounts for.
func (l *LoRA) group(t Tensors) (map[string]map[string]Tensor, error) {
	groups := map[string]map[string]Tensor{}
	var rest []Key
	for _, name := range t.Names() {
		key := ParseKey(name)
		switch key.Kind {
		case KindPlain, KindBaseWeight, KindBaseBias:
			rest = append(rest, key)
			continue
		}
		if groups[key.Module] == nil {
			groups[key.Module] = map[string]Tensor{}
		}
		groups[key.Module][key.Kind] = t[name]
	}
	for _, key := range rest {
		if err := l.accounts(key, groups); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", key, err)
		}
	}
	return groups, nil
}

// accounts tells whether the settings explain a tensor that is not a part of an adapted layer.
func (l *LoRA) accounts(key Key, groups map[string]map[string]Tensor) error {
	switch key.Kind {
	case KindBaseWeight, KindBaseBias:
		if groups[key.Module] == nil {
			return fmt.Errorf("belongs to the base of %q, which has no factors in the file", key.Module)
		}
		if key.Kind == KindBaseBias && l.Bias == BiasNone {
			return fmt.Errorf("is a trained bias, but the setting bias is %q; expected all or lora_only", l.Bias)
		}
		return nil
	}
	if l.Bias == BiasAll && strings.HasSuffix(key.Module, ".bias") || l.Saves(key.Module) {
		return nil
	}
	return fmt.Errorf("is unknown: no factor of a layer (names end in .%s), no bias to be saved (bias is %q) and in no module of modules_to_save %q",
		strings.Join(kinds[:6], ", ."), l.Bias, l.Save)
}

// Saves reports whether modules_to_save covers the parameter of that path: PEFT takes every module whose path ends in one of the
// entries, with all it contains.
func (l *LoRA) Saves(param string) bool {
	for i, c := range param {
		if c != '.' {
			continue
		}
		for _, entry := range l.Save {
			if entry != "" && strings.HasSuffix(param[:i], entry) {
				return true
			}
		}
	}
	return false
}

// fill takes the factors of one layer from its tensors.
func (y *Layer) fill(group map[string]Tensor, dora bool) error {
	kindA, kindB := KindA, KindB
	if _, ok := group[KindEmbeddingA]; ok || has(group, KindEmbeddingB) {
		kindA, kindB, y.Embedding = KindEmbeddingA, KindEmbeddingB, true
	}
	for _, kind := range []string{kindA, kindB} {
		if !has(group, kind) {
			return fmt.Errorf("tensor %q is missing; the file has only %s of that layer", Key{y.Module, kind}, strings.Join(slices.Sorted(maps.Keys(group)), ", "))
		}
	}
	y.A, y.B = group[kindA], group[kindB]
	rankA, _, err := y.A.matrix()
	if err != nil {
		return fmt.Errorf("tensor %q %w", Key{y.Module, kindA}, err)
	}
	out, rankB, err := y.B.matrix()
	if err != nil {
		return fmt.Errorf("tensor %q %w", Key{y.Module, kindB}, err)
	}
	if rankA != y.Rank || rankB != y.Rank {
		return fmt.Errorf("layer %q: factors A of shape %v and B of shape %v; the settings (r, rank_pattern) say rank %d, so A is %d×in and B out×%d",
			y.Module, y.A.Shape, y.B.Shape, y.Rank, y.Rank, y.Rank)
	}
	return y.fillMagnitude(group, dora, out)
}

func (y *Layer) fillMagnitude(group map[string]Tensor, dora bool, out int) error {
	m, found := group[KindMagnitude]
	switch key := (Key{y.Module, KindMagnitude}); {
	case found && !dora:
		return fmt.Errorf("tensor %q belongs to DoRA, but the setting use_dora is false", key)
	case !found && dora:
		return fmt.Errorf("tensor %q is missing; use_dora asks for one in every adapted layer", key)
	case found && len(m.Values) != out:
		return fmt.Errorf("tensor %q has shape %v, expected %d values, one an output", key, m.Shape, out)
	case found:
		y.Magnitude = &m
	}
	return nil
}

func has(group map[string]Tensor, kind string) bool { _, ok := group[kind]; return ok }

func (l *LoRA) check(t Tensors) error {
	_, err := l.Layers(t)
	return err
}
