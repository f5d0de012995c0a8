package transformer

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/geotune/geotune/graph/kernel"
)

// maxRandom bounds the number of parameters that Random allocates, 32 GiB of F32.
const maxRandom = 1 << 33

// counter counts parameters without allocating them.
type counter struct{ elements int64 }

func (n *counter) tensor(_ string, shape kernel.Shape, _ initKind) *kernel.Tensor {
	n.elements += int64(shape.Size())
	return &kernel.Tensor{Shape: shape}
}

// random draws parameters. Each has a stream of its own, seeded by its name, so that its values do not depend on the others.
type random struct {
	config *Config
	seed   uint64
	dtype  kernel.DType
}

func (r *random) tensor(name string, shape kernel.Shape, init initKind) *kernel.Tensor {
	return kernel.Rounded(r.draw(name, shape, init).F32, r.dtype, shape)
}

func (r *random) draw(name string, shape kernel.Shape, init initKind) *kernel.Tensor {
	t := kernel.New(shape...)
	std := r.config.InitStd
	switch init {
	case initZero:
		return t
	case initOne:
		for i := range t.F32 {
			t.F32[i] = 1
		}
		return t
	case initResidual:
		std /= math.Sqrt(2 * float64(r.config.NumLayers))
	}
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	rng := rand.New(rand.NewPCG(r.seed, h.Sum64()))
	for i := range t.F32 {
		t.F32[i] = float32(std * rng.NormFloat64())
	}
	if strings.HasSuffix(name, "embed_tokens.weight") { // these have a padding_idx in transformers
		for _, id := range r.config.PAD {
			clear(t.F32[int(id)*shape.Last() : (int(id)+1)*shape.Last()])
		}
	}
	return t
}
