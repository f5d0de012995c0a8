package adapters

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/internal/names"
)

// Load copies the values of a stored adapter into this one. Every trained tensor must be in the file and every tensor of the file must
// have its place: what is missing, unknown or misshapen is an error that names key and shapes, and then nothing has changed.
func (a *Adapter) Load(f *formats.Adapter) error {
	known := map[string]*Trainable{}
	var paths []string
	for _, t := range a.trained {
		path := pathOf(t)
		known[path] = t
		paths = append(paths, path)
	}
	var missing []string
	for _, path := range paths {
		if _, ok := f.Tensors[path]; !ok && !a.unsaved(path) {
			missing = append(missing, path)
		}
	}
	for _, path := range f.Tensors.Names() {
		if err := a.fits(path, f.Tensors[path], known[path], paths); err != nil {
			return fmt.Errorf("load %s: tensor %q %w", f.Path, f.Prefix+path, err)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("load %s: tensors are missing: %s; the settings ask for them", f.Path, some(missing))
	}
	for path, t := range known {
		copy(t.Param.Value.F32, f.Tensors[path].Values)
	}
	return nil
}

// unsaved reports whether PEFT may have left a tensor out: its releases up to 0.20 do not save the biases trained with lora_only.
func (a *Adapter) unsaved(path string) bool {
	l, ok := a.settings.(*formats.LoRA)
	if !ok || l.Bias != formats.BiasLoRAOnly || formats.ParseKey(path).Kind != formats.KindBaseBias {
		return false
	}
	const note = "the file lacks the biases trained with lora_only, which PEFT up to 0.20 does not save; those of the base model are used"
	if !slices.Contains(a.notes, note) {
		a.notes = append(a.notes, note)
	}
	return true
}

// fits checks one tensor of a file against its place.
func (a *Adapter) fits(path string, x formats.Tensor, t *Trainable, paths []string) error {
	if t == nil {
		if key := formats.ParseKey(path); key.Kind == formats.KindBaseWeight {
			return a.sameBase(key.Module, x)
		}
		near := ""
		if list := nearest(path, paths); len(list) > 0 {
			near = "; the nearest are " + strings.Join(list, ", ")
		}
		return fmt.Errorf("has no place in the model: it trains %d tensors%s", len(paths), near)
	}
	if want := t.Param.Value.Shape; !slices.Equal(x.Shape, want) {
		return fmt.Errorf("has shape %v, the model expects %v", x.Shape, []int(want))
	}
	return nil
}

// nearest proposes paths: those that differ from path in the last components at most.
func nearest(path string, paths []string) []string {
	if near := names.Nearest(path, paths); len(near) > 0 {
		return near
	}
	for stem := path; ; {
		i := strings.LastIndexByte(stem, '.')
		if i < 0 {
			return nil
		}
		stem = stem[:i]
		var near []string
		for _, p := range paths {
			if strings.HasPrefix(p, stem+".") && len(near) < 3 {
				near = append(near, p)
			}
		}
		if len(near) > 0 {
			return near
		}
	}
}

// sameBase checks a weight of the base that PEFT saved along with an adapted embedding: the adapter was trained on top of it.
func (a *Adapter) sameBase(module string, x formats.Tensor) error {
	for _, p := range a.parts {
		if p.name() != module {
			continue
		}
		base := baseOf(p)
		if base == nil {
			break
		}
		if !slices.Equal(x.Shape, base.Value.Shape) {
			return fmt.Errorf("has shape %v, the base model %v; was the vocabulary resized? Train on the resized model", x.Shape, []int(base.Value.Shape))
		}
		for i, v := range base.Value.Floats() {
			if math.Float32bits(v) != math.Float32bits(x.Values[i]) {
				return fmt.Errorf("differs from the base model's weight at element %d (%v, the model has %v); the adapter belongs to another base model", i, x.Values[i], v)
			}
		}
		return nil
	}
	return fmt.Errorf("belongs to %q, which is not adapted", module)
}

func baseOf(p part) *graph.Param {
	switch p := p.(type) {
	case *loraLinear:
		return p.base
	case *doraLinear:
		return p.base
	case *loraEmbedding:
		return p.layer.Weight
	}
	return nil
}

// Header returns what the file the adapter came from says beside its settings.
func (a *Adapter) Header() formats.Header { return a.header }

// Save writes the adapter to the directory at path: in PEFT's layout, full fine-tuning as model.safetensors. Biases trained with
// lora_only are written as <module>.base_layer.bias, which PEFT 0.20 reads although it does not write them.
func (a *Adapter) Save(path string, h formats.Header) error { return formats.Write(path, a.File(h)) }

// some joins names for an error, the first few of them.
func some(list []string) string { return names.Few(list, 5) }
