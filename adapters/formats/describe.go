package formats

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Description is what the inspect command tells about an adapter.
type Description struct {
	Path     string    `json:"path"`
	Format   string    `json:"format"`
	Why      string    `json:"why"`
	Type     string    `json:"type"` // lora, dora or full
	Base     string    `json:"base,omitempty"`
	Targets  string    `json:"targets,omitempty"`
	Rank     int       `json:"rank,omitempty"`
	Alpha    float64   `json:"alpha,omitempty"`
	RSLoRA   bool      `json:"use_rslora,omitempty"`
	Bias     string    `json:"bias,omitempty"`
	Init     string    `json:"init,omitempty"`
	Values   int       `json:"values"` // stored numbers
	Adapted  []Adapted `json:"adapted,omitempty"`
	Trained  []Trained `json:"trained,omitempty"` // whole tensors
	Notes    []string  `json:"notes,omitempty"`
	settings *LoRA
}

// Adapted describes one layer's ΔW = scale·B·A.
type Adapted struct {
	Module         string    `json:"module"`
	Rank           int       `json:"rank"`
	Alpha          float64   `json:"alpha"`
	Scale          float64   `json:"scale"`
	Norm           float64   `json:"norm"` // Frobenius norm of ΔW
	SingularValues []float64 `json:"singular_values"`
	// EffectiveRank is exp of the entropy of the normalised singular values, between 1 and Rank; 0 for a zero update.
	EffectiveRank float64 `json:"effective_rank"`
	// MagnitudeNorm is the norm of DoRA's magnitudes.
	MagnitudeNorm float64 `json:"magnitude_norm,omitempty"`
}

// Trained describes a tensor that is stored whole: a bias, a head, a weight of full fine-tuning.
type Trained struct {
	Name  string  `json:"name"`
	Shape []int   `json:"shape"`
	Norm  float64 `json:"norm"`
}

// Describe reads the adapter at path and measures it.
func Describe(path string, args map[string]string) (*Description, error) {
	a, err := Read(path, args)
	if err != nil {
		return nil, err
	}
	d, err := a.Describe()
	if err != nil {
		return nil, fmt.Errorf("formats: %s: %w", path, err)
	}
	return d, nil
}

// Describe measures the adapter. The cost is O((in+out)·r²) a layer; ΔW is never formed.
func (a *Adapter) Describe() (*Description, error) {
	d := &Description{Path: a.Path, Format: a.Format, Why: a.Why, Type: "full", Base: a.Header.Base, Notes: a.Notes}
	for _, name := range a.Tensors.Names() {
		x := a.Tensors[name]
		d.Values += len(x.Values)
		switch ParseKey(name).Kind {
		case KindPlain, KindBaseBias, KindBaseWeight:
			d.Trained = append(d.Trained, Trained{name, x.Shape, norm(x.Values)})
		}
	}
	l, ok := a.Settings.(*LoRA)
	if !ok {
		return d, nil
	}
	d.Type, d.settings = "lora", l
	if l.DoRA {
		d.Type = "dora"
	}
	d.Targets, d.Rank, d.Alpha, d.RSLoRA, d.Bias, d.Init = l.Targets.String(), l.Rank, l.Alpha, l.RSLoRA, l.Bias, l.Init
	layers, err := l.Layers(a.Tensors)
	if err != nil {
		return nil, err
	}
	for i := range layers {
		m, err := layers[i].measure()
		if err != nil {
			return nil, fmt.Errorf("layer %q: %w", layers[i].Module, err)
		}
		d.Adapted = append(d.Adapted, m)
	}
	return d, nil
}

func (y *Layer) measure() (Adapted, error) {
	m := Adapted{Module: y.Module, Rank: y.Rank, Alpha: y.Alpha, Scale: float64(y.Scale)}
	if y.Magnitude != nil {
		m.MagnitudeNorm = norm(y.Magnitude.Values)
	}
	if i := slices.IndexFunc(append(slices.Clone(y.A.Values), y.B.Values...), isNaNOrInf); i >= 0 {
		return m, fmt.Errorf("the factors hold NaN or infinities (element %d); the run that wrote them diverged", i)
	}
	var err error
	m.SingularValues, err = y.Spectrum()
	if err != nil {
		return m, err
	}
	var sum, squares, entropy float64
	for _, s := range m.SingularValues {
		sum, squares = sum+s, squares+s*s
	}
	m.Norm = math.Sqrt(squares)
	for _, s := range m.SingularValues {
		if p := s / sum; p > 0 {
			entropy -= p * math.Log(p)
		}
	}
	if sum > 0 {
		m.EffectiveRank = math.Exp(entropy)
	}
	return m, nil
}

func isNaNOrInf(v float32) bool { return v-v != 0 }

// WriteText writes the description for a reader at a terminal.
func (d *Description) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, recognised by %s\n", d.Path, d.Format, d.Why)
	fmt.Fprintf(&b, "type     %s, %d values\n", d.Type, d.Values)
	if d.Base != "" {
		fmt.Fprintf(&b, "base     %s\n", d.Base)
	}
	if d.settings != nil {
		fmt.Fprintf(&b, "targets  %s\nrank     %d, alpha %v, use_rslora %v, bias %s, init %s\n", d.Targets, d.Rank, d.Alpha, d.RSLoRA, d.Bias, d.Init)
	}
	for _, note := range d.Notes {
		fmt.Fprintf(&b, "note     %s\n", note)
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if len(d.Adapted) > 0 {
		fmt.Fprintln(t, "\nmodule\trank\tscale\tnorm of the update\teffective rank\tsingular values")
	}
	for _, m := range d.Adapted {
		fmt.Fprintf(t, "%s\t%d\t%.4g\t%.4g\t%.2f\t%s\n", m.Module, m.Rank, m.Scale, m.Norm, m.EffectiveRank, spectrumText(m.SingularValues))
	}
	if len(d.Trained) > 0 {
		fmt.Fprintln(t, "\ntensor\tshape\tnorm")
	}
	for _, x := range d.Trained {
		fmt.Fprintf(t, "%s\t%v\t%.4g\n", x.Name, x.Shape, x.Norm)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// spectrumText shows the first and the last singular values.
func spectrumText(s []float64) string {
	var parts []string
	for i, v := range s {
		if i == 3 && len(s) > 5 {
			parts = append(parts, "...")
		}
		if i < 3 || i == len(s)-1 || len(s) <= 5 {
			parts = append(parts, fmt.Sprintf("%.4g", v))
		}
	}
	return strings.Join(parts, " ")
}
