package transformer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/geotune/geotune/graph"
	"github.com/geotune/geotune/graph/kernel"
	"github.com/geotune/geotune/layers"
)

// maxCache bounds the cache of a Generator, 32 GiB of F32.
const maxCache = 1 << 33

// Generator continues texts with a cache of keys and values. It is deterministic, and not safe for concurrent use. The model's
// adapters take part; what is trainable may change its values, not its tensors, during the Generator's life.
type Generator struct {
	model  *Model
	maxLen int
	ws     *graph.Workspace
	seq    layers.Sequence // of the step: one token
	ids    *kernel.Tensor
	step   *graph.Machine
	logits *kernel.Tensor
}

// NewGenerator returns a Generator for texts of at most maxLen tokens, prompt included. That may not exceed the context the model was
// made for. The cache takes 8·layers·maxLen·kvHeads·headDim bytes.
func NewGenerator(m *Model, maxLen int) (*Generator, error) {
	c := m.Config
	if limit := c.contextLimit(); maxLen < 1 || maxLen > limit {
		return nil, fmt.Errorf("transformer: generate: found a length of %d tokens, expected 1 to %d, the model's context", maxLen, limit)
	}
	width := c.NumKVHeads * c.HeadDim
	if size := 2 * int64(c.NumLayers) * int64(maxLen) * int64(width); size > maxCache {
		return nil, fmt.Errorf("transformer: generate: a cache for %d tokens takes %d MiB; use a shorter length", maxLen, size>>18)
	}
	cache := &layers.Cache{Start: kernel.NewI32(1)}
	for range c.NumLayers {
		cache.K = append(cache.K, kernel.New(1, maxLen, width))
		cache.V = append(cache.V, kernel.New(1, maxLen, width))
	}
	t := &tables{}
	switch {
	case c.Rope == nil:
	case c.Rope.Type == "dynamic":
		t = c.Rope.newTables(maxLen) // filled for each prompt
	default:
		t = m.rope(maxLen)
	}
	g := &Generator{
		model: m, maxLen: maxLen, ws: graph.NewWorkspace(), ids: kernel.NewI32(1, 1),
		seq: layers.Sequence{Positions: kernel.NewI32(1, 1), Cos: t.cos, Sin: t.sin, Cache: cache},
	}
	return g, g.compileStep()
}

// contextLimit returns how many tokens the model was made for; dynamic scaling stretches that by its factor.
func (c *Config) contextLimit() int {
	if c.Rope != nil && c.Rope.Type == "dynamic" {
		return int(float64(c.MaxPositions) * c.Rope.Factor)
	}
	return c.MaxPositions
}

// compileStep builds the graph that reads one token and predicts the next.
func (g *Generator) compileStep() (err error) {
	e := g.ws.NewEvalGraph()
	states := g.model.hidden(e, g.ids, &g.seq, false)
	logits := g.model.output.Apply(e, states[len(states)-1])
	if g.step, err = e.Compile(graph.Output{Node: logits}); err != nil {
		return fmt.Errorf("transformer: generate: %w", err)
	}
	g.logits = g.step.Output(0)
	return nil
}

// Generate continues the prompt and returns the new tokens. Each is handed to emit, if there is one, as soon as it is known. When ctx
// ends or emit fails, the tokens so far come back with the error.
func (g *Generator) Generate(ctx context.Context, prompt []int32, opt GenOptions, emit func(id int32) error) ([]int32, error) {
	if err := g.check(prompt, opt); err != nil {
		return nil, fmt.Errorf("transformer: generate: %w", err)
	}
	limit := g.maxLen - len(prompt)
	if opt.MaxTokens > 0 {
		limit = min(limit, opt.MaxTokens)
	}
	if err := g.prefill(prompt); err != nil {
		return nil, fmt.Errorf("transformer: generate: %w", err)
	}
	pick := newPicker(opt, g.logits.Len(), prompt)
	var out []int32
	last := prompt[len(prompt)-1]
	for len(out) < limit {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if err := g.feed(last, len(prompt)-1+len(out)); err != nil {
			return out, fmt.Errorf("transformer: generate: %w", err)
		}
		if err := g.finite(); err != nil {
			return out, fmt.Errorf("transformer: generate: token %d: %w", len(prompt)+len(out), err)
		}
		last = pick.next(g.logits.F32)
		if slices.Contains(opt.Stop, last) {
			break
		}
		out = append(out, last)
		if emit != nil {
			if err := emit(last); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// finite reports logits that are NaN or infinite.
func (g *Generator) finite() error {
	for id, v := range g.logits.F32 {
		if v-v != 0 {
			return fmt.Errorf("the logit of id %d is %v; the weights are damaged or overflow", id, v)
		}
	}
	return nil
}

func (g *Generator) check(prompt []int32, opt GenOptions) error {
	if len(prompt) == 0 {
		return fmt.Errorf("the prompt is empty; begin with the model's BOS or EOS token")
	}
	if len(prompt) >= g.maxLen {
		return fmt.Errorf("the prompt of %d tokens leaves no room in a context of %d", len(prompt), g.maxLen)
	}
	for i, id := range prompt {
		if id < 0 || int(id) >= g.model.Config.VocabSize {
			return fmt.Errorf("token %d of the prompt: found id %d, expected 0 to %d", i, id, g.model.Config.VocabSize-1)
		}
	}
	return opt.check()
}

// prefill brings all tokens of the prompt but the last into the cache, in one pass without an output layer.
func (g *Generator) prefill(prompt []int32) error {
	if r := g.model.Config.Rope; r != nil && r.Type == "dynamic" {
		r.fillGeneration(&tables{g.seq.Cos, g.seq.Sin}, len(prompt))
	}
	n := len(prompt) - 1
	if n == 0 {
		return nil
	}
	seq, ids := g.seq, kernel.NewI32(1, n)
	copy(ids.I32, prompt)
	seq.Positions = kernel.NewI32(1, n)
	for i := range n {
		seq.Positions.I32[i] = int32(i)
	}
	e := g.ws.NewEvalGraph()
	states := g.model.hidden(e, ids, &seq, false)
	m, err := e.Compile(graph.Output{Node: states[len(states)-1]})
	if err != nil {
		return err
	}
	defer m.Close()
	seq.Cache.Start.I32[0] = 0
	return m.RunAll()
}

// feed runs the step for a token at a position.
func (g *Generator) feed(id int32, position int) error {
	g.ids.I32[0] = id
	g.seq.Positions.I32[0] = int32(position)
	g.seq.Cache.Start.I32[0] = int32(position)
	return g.step.RunAll()
}

// StopIDs returns the ids that end a text: eos_token_id of config.json and of generation_config.json, where models tuned for
// conversation list more of them.
func (m *Model) StopIDs() ([]int32, error) {
	const name = "generation_config.json"
	ids := slices.Clone(m.Config.EOS)
	if m.dir == nil {
		return ids, nil
	}
	data, err := fs.ReadFile(m.dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return ids, nil
	}
	if err != nil {
		return nil, fmt.Errorf("transformer: %w", err)
	}
	f := &fields{file: name}
	if err := json.Unmarshal(data, &f.raw); err != nil {
		return nil, fmt.Errorf("transformer: %s: not a JSON object: %w", name, err)
	}
	for _, id := range f.ids("eos_token_id", m.Config.VocabSize) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, f.err
}
