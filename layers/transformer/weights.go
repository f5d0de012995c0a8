package transformer

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/internal/names"
	"github.com/geotune/geotune/internal/safetensors"
)

// stored takes parameters from safetensors files, without copying, and collects what is wrong with them.
type stored struct {
	set     *safetensors.Set
	config  *Config
	strip   string          // prefix of parameter names that the files leave out
	used    map[string]bool // tensors taken, by their names in the files
	missing []string
	errs    []error
}

func newStored(set *safetensors.Set, c *Config) *stored {
	s := &stored{set: set, config: c, used: map[string]bool{}}
	prefix := c.family.prefix
	if !slices.ContainsFunc(set.Names(), func(name string) bool { return strings.HasPrefix(name, prefix) }) {
		s.strip = prefix
	}
	return s
}

// tensor implements source.
func (s *stored) tensor(name string, shape kernel.Shape, _ initKind) *kernel.Tensor {
	placeholder := &kernel.Tensor{Shape: shape}
	key := strings.TrimPrefix(name, s.strip)
	info, ok := s.set.Info(key)
	if !ok {
		s.missing = append(s.missing, key)
		return placeholder
	}
	s.used[key] = true
	if !shape.Equal(info.Shape) {
		s.errs = append(s.errs, fmt.Errorf("tensor %q: found shape %v, expected %v by the config", key, kernel.Shape(info.Shape), shape))
		return placeholder
	}
	t, err := s.view(key, info)
	if err != nil {
		s.errs = append(s.errs, err)
		return placeholder
	}
	return t
}

// view returns a tensor over the mapped bytes.
func (s *stored) view(key string, info safetensors.Info) (*kernel.Tensor, error) {
	data, err := s.set.Bytes(key)
	if err != nil {
		return nil, err
	}
	t := &kernel.Tensor{Shape: info.Shape}
	switch info.DType {
	case safetensors.F32:
		t.F32 = safetensors.View[float32](data)
	case safetensors.BF16:
		t.DType, t.U16 = kernel.BF16, safetensors.View[uint16](data)
	case safetensors.F16:
		t.DType, t.U16 = kernel.F16, safetensors.View[uint16](data)
	default:
		return nil, fmt.Errorf("tensor %q: found type %s, expected F32, BF16 or F16", key, info.DType)
	}
	return t, nil
}

// finish reports all that is wrong with the files: tensors that are missing, unknown or do not fit.
func (s *stored) finish(m *Model) error {
	var unknown []string
	for _, key := range s.set.Names() {
		switch {
		case s.used[key] || s.buffer(key):
		case m.Config.Tied && key == m.output.Name+".weight":
			s.checkTied(m, key)
		default:
			unknown = append(unknown, key)
		}
	}
	errs := s.errs
	if len(errs) > maxListed {
		errs = append(errs[:maxListed:maxListed], fmt.Errorf("and %d more", len(errs)-maxListed))
	}
	if len(s.missing) > 0 {
		errs = append(errs, fmt.Errorf("%d tensors of a %s model are missing: %s", len(s.missing), m.Config.ModelType, list(s.missing)))
	}
	if len(unknown) > 0 {
		errs = append(errs, fmt.Errorf("%d tensors have no place in a %s model: %s", len(unknown), m.Config.ModelType, list(unknown)))
	}
	return errors.Join(errs...)
}

// buffer reports whether a tensor is a constant that some versions of transformers saved.
func (s *stored) buffer(key string) bool {
	return slices.ContainsFunc(s.config.family.buffers, func(suffix string) bool { return strings.HasSuffix("."+key, suffix) })
}

// checkTied lets a head of its own beside a tied embedding pass only if both are the same.
func (s *stored) checkTied(m *Model, key string) {
	head, err1 := s.set.Bytes(key)
	embed, err2 := s.set.Bytes(strings.TrimPrefix(m.embed.Weight.Name, s.strip))
	if err := errors.Join(err1, err2); err != nil {
		return // the embedding is missing, which is reported already
	}
	if !bytes.Equal(head, embed) {
		s.errs = append(s.errs, fmt.Errorf("tensor %q differs from %q, but the config ties them; set tie_word_embeddings to false to use it",
			key, m.embed.Weight.Name))
	}
}

const maxListed = 8

// list joins names for an error, the first few of them.
func list(all []string) string { return names.Few(all, maxListed) }
