package inspect

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/geotune/geotune/internal/safetensors"
)

// Tensors describes safetensors files of no special kind.
type Tensors struct {
	Path     string            `json:"path"`
	Kind     string            `json:"kind"` // "safetensors"
	Bytes    int64             `json:"bytes"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Tensors  []Tensor          `json:"tensors"`
}

// Tensor is one stored tensor.
type Tensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

func describeTensors(path string) (*Tensors, error) {
	set, err := safetensors.OpenAny(path)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	defer set.Close()
	d := &Tensors{Path: path, Kind: "safetensors", Metadata: set.Metadata()}
	for _, name := range set.Names() {
		info, _ := set.Info(name)
		d.Bytes += info.Size
		d.Tensors = append(d.Tensors, Tensor{name, string(info.DType), append([]int{}, info.Shape...)})
	}
	return d, nil
}

// WriteText implements Description.
func (d *Tensors) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s: safetensors, %d tensors, %d bytes\n", d.Path, len(d.Tensors), d.Bytes)
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
		fmt.Fprintf(t, "metadata %s: %s\n", key, d.Metadata[key])
	}
	for _, x := range d.Tensors {
		fmt.Fprintf(t, "%s\t%s\t%v\n", x.Name, x.DType, x.Shape)
	}
	return t.Flush()
}
