package transformer

import (
	"math"
	"slices"
	"strings"

	"github.com/geotune/geotune/graph/kernel"
)

// Rope describes rotary position embedding and how it is stretched to longer contexts, in the terms of transformers' rope_scaling.
type Rope struct {
	Theta float64 // base of the frequencies
	Rot   int     // rotated dimensions of a head
	Type  string  // "default", "linear", "dynamic", "llama3" or "yarn"

	Factor             float64
	Original           int     // original_max_position_embeddings
	LowFreq, HighFreq  float64 // llama3: low_freq_factor, high_freq_factor
	AttentionFactor    float64 // yarn: factor on the tables
	BetaFast, BetaSlow float64 // yarn
	Truncate           bool    // yarn
}

const minTheta, maxTheta = 2, 1e15

// ropeKeys lists, for each type of scaling, the keys besides the type that are honoured.
var ropeKeys = map[string][]string{
	"default": {},
	"linear":  {"factor"},
	"dynamic": {"factor"},
	"llama3":  {"factor", "low_freq_factor", "high_freq_factor"},
	"yarn":    {"factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"},
}

// ropeCommon may stand beside them anywhere: the type, and what older files add without meaning.
var ropeCommon = []string{"type", "rope_type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings", "finetuned"}

// parseRope reads the rotary embedding: rope_theta with rope_scaling, or rope_parameters of transformers 5. It needs HeadDim and
// MaxPositions.
func (c *Config) parseRope(f *fields, theta, partial float64) {
	c.Rope = &Rope{Type: "default", Theta: f.number("rope_theta", theta, minTheta, maxTheta), Original: c.MaxPositions}
	name := "rope_scaling"
	if !f.has(name) {
		name = "rope_parameters"
	}
	if s := f.object(name); s != nil {
		partial = s.number("partial_rotary_factor", partial, 0, 1)
		c.Rope.parseScaling(s, c.MaxPositions)
		if f.err == nil {
			f.err = s.err
		}
	}
	least := 2
	if c.Rope.Type == "dynamic" {
		least = 4 // its formula divides by Rot-2
	}
	if c.Rope.Rot = int(float64(c.HeadDim) * partial); f.err == nil && (c.Rope.Rot < least || c.Rope.Rot%2 != 0) {
		f.failf("head_dim", "%d of %d dimensions of a head would rotate, expected an even number from %d", c.Rope.Rot, c.HeadDim, least)
	}
}

func (r *Rope) parseScaling(s *fields, maxPos int) {
	types := []string{"default", "linear", "dynamic", "llama3", "yarn"}
	r.Type = s.choice("rope_type", s.choice("type", "default", types...), types...)
	if s.err != nil {
		return
	}
	for key := range s.raw {
		if known := slices.Concat(ropeKeys[r.Type], ropeCommon); s.has(key) && !slices.Contains(known, key) {
			s.failf(key, "is unknown for scaling of type %s; expected %s", r.Type, strings.Join(known, ", "))
		}
	}
	r.Theta = s.number("rope_theta", r.Theta, minTheta, maxTheta)
	def := maxPos
	if r.Type == "llama3" {
		def = required
	}
	r.Original = s.integer("original_max_position_embeddings", def, 1, maxPositions)
	if r.Type == "default" {
		return
	}
	if !s.has("factor") && !(r.Type == "yarn" && s.has("original_max_position_embeddings")) {
		s.reject("factor", "a number of at least 1")
	}
	r.Factor = s.number("factor", float64(maxPos)/float64(r.Original), 1, 1e6)
	switch r.Type {
	case "dynamic":
		r.Original = maxPos // the original length is not read by transformers here
	case "llama3":
		r.LowFreq = s.number("low_freq_factor", 0, 1e-6, 1e6)
		r.HighFreq = s.number("high_freq_factor", 0, 1e-6, 1e6)
		if r.LowFreq >= r.HighFreq {
			s.reject("high_freq_factor", "a number above low_freq_factor")
		}
	case "yarn":
		r.parseYarn(s)
	}
}

// parseYarn reads the fields of YaRN (Peng et al., 2023) with the defaults of transformers.
func (r *Rope) parseYarn(s *fields) {
	r.BetaFast = s.number("beta_fast", 32, 1e-6, 1e6)
	r.BetaSlow = s.number("beta_slow", 1, 1e-6, 1e6)
	r.Truncate = s.boolean("truncate", true)
	scale := func(m float64) float64 {
		if r.Factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(r.Factor) + 1
	}
	def := scale(1)
	m, all := s.number("mscale", 0, 0, 1e3), s.number("mscale_all_dim", 0, 0, 1e3)
	if m != 0 && all != 0 {
		def = scale(m) / scale(all)
	}
	r.AttentionFactor = s.number("attention_factor", def, 1e-6, 1e6)
}

// frequencies returns the angle of one position step for each pair of dimensions, for a text of length tokens (which matters to
// dynamic scaling alone). Like PyTorch it rounds every step to float32: angles of far positions depend on it.
func (r *Rope) frequencies(length int) []float32 {
	base := r.Theta
	if r.Type == "dynamic" {
		n, dim := float64(max(length, r.Original)), float64(r.Rot)
		base *= math.Pow(r.Factor*n/float64(r.Original)-(r.Factor-1), dim/(dim-2))
	}
	freq := make([]float32, r.Rot/2)
	for i := range freq {
		exponent := float32(2*i) / float32(r.Rot)
		freq[i] = 1 / float32(math.Pow(float64(float32(base)), float64(exponent)))
	}
	switch r.Type {
	case "linear":
		for i := range freq {
			freq[i] /= float32(r.Factor)
		}
	case "llama3":
		r.scaleLlama3(freq)
	case "yarn":
		r.scaleYarn(freq)
	}
	return freq
}

// scaleLlama3 divides low frequencies by the factor, keeps high ones, and interpolates between.
func (r *Rope) scaleLlama3(freq []float32) {
	original, factor := float32(r.Original), float32(r.Factor)
	for i, f := range freq {
		wave := float32(2*math.Pi) / f
		switch {
		case wave > float32(float64(r.Original)/r.LowFreq):
			freq[i] = f / factor
		case wave >= float32(float64(r.Original)/r.HighFreq):
			smooth := (original/wave - float32(r.LowFreq)) / float32(r.HighFreq-r.LowFreq)
			freq[i] = (1-smooth)*f/factor + smooth*f
		}
	}
}

// scaleYarn interpolates frequencies that turn less than BetaSlow times over the original context, keeps those that turn more than
// BetaFast times, and blends linearly between.
func (r *Rope) scaleYarn(freq []float32) {
	dim := float64(r.Rot)
	at := func(turns float64) float64 {
		return dim * math.Log(float64(r.Original)/(turns*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	low, high := at(r.BetaFast), at(r.BetaSlow)
	if r.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, dim-1)
	if low == high {
		high += 0.001
	}
	for i, f := range freq {
		ramp := (float32(i) - float32(low)) / float32(high-low)
		keep := 1 - min(max(ramp, 0), 1)
		freq[i] = f/float32(r.Factor)*(1-keep) + f*keep
	}
}

// tables are the cosines and sines of all positions, [positions, Rot/2].
type tables struct{ cos, sin *kernel.Tensor }

func (r *Rope) newTables(positions int) *tables {
	return &tables{kernel.New(positions, r.Rot/2), kernel.New(positions, r.Rot/2)}
}

// head returns the first n rows.
func (t *tables) head(n int) *tables {
	width := t.cos.Shape[1]
	return &tables{kernel.FromF32(t.cos.F32[:n*width], n, width), kernel.FromF32(t.sin.F32[:n*width], n, width)}
}

// fill computes the rows from lo to hi for a text of length tokens.
func (r *Rope) fill(t *tables, lo, hi, length int) {
	scale := 1.0
	if r.Type == "yarn" {
		scale = r.AttentionFactor
	}
	freq := r.frequencies(length)
	for p := lo; p < hi; p++ {
		cos, sin := t.cos.F32[p*len(freq):], t.sin.F32[p*len(freq):]
		for i, f := range freq {
			s, c := math.Sincos(float64(float32(p) * f))
			cos[i], sin[i] = float32(scale*float64(float32(c))), float32(scale*float64(float32(s)))
		}
	}
}

// fillGeneration computes the rows for a prompt and the tokens generated after it. With dynamic scaling each new token gets the
// frequencies of the length it makes, while earlier keys stay as they were cached.
func (r *Rope) fillGeneration(t *tables, prompt int) {
	r.fill(t, 0, prompt, prompt)
	for p := prompt; p < t.cos.Shape[0]; p++ {
		r.fill(t, p, p+1, p+1)
	}
}
