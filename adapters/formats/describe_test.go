package formats_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/adapters/formats"
)

// denseSpectrum computes the singular values of scale·B·A from the dense product.
func denseSpectrum(y *formats.Layer) []float64 {
	r := y.Rank
	out, in := len(y.B.Values)/r, len(y.A.Values)/r
	a, b := mat.NewDense(r, in, nil), mat.NewDense(out, r, nil)
	for i, v := range y.A.Values {
		a.Set(i/in, i%in, float64(v))
	}
	for i, v := range y.B.Values {
		b.Set(i/r, i%r, float64(v)*float64(y.Scale))
	}
	var x mat.Dense
	x.Mul(b, a)
	var svd mat.SVD
	svd.Factorize(&x, mat.SVDNone)
	return svd.Values(nil)
}

func TestSpectrumIsThatOfTheDenseProduct(t *testing.T) {
	for _, dir := range loraCases(t) {
		a := read(t, dir)
		layers, err := a.Settings.(*formats.LoRA).Layers(a.Tensors)
		if err != nil {
			t.Fatal(err)
		}
		for i := range layers[:min(3, len(layers))] {
			got, err := layers[i].Spectrum()
			if err != nil {
				t.Fatal(err)
			}
			want := denseSpectrum(&layers[i])
			for j := range want {
				g := 0.0
				if j < len(got) {
					g = got[j]
				}
				if math.Abs(g-want[j]) > 1e-12*want[0] {
					t.Errorf("%s, %s: singular value %d is %v, want %v", dir, layers[i].Module, j, g, want[j])
				}
			}
		}
	}
}

func TestDescribeRefusesFactorsThatDiverged(t *testing.T) {
	a := tiny()
	a.Tensors["layers.0.q_proj.lora_B.weight"].Values[1] = float32(math.NaN())
	if _, err := a.Describe(); err == nil || !strings.Contains(err.Error(), "layers.0.q_proj") {
		t.Errorf("error %v, want one that names the layer", err)
	}
}

func ExampleDescribe() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "adapter")
	if err := formats.Write(path, tiny()); err != nil {
		fmt.Println(err)
		return
	}
	d, err := formats.Describe(path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Format, d.Type, d.Targets)
	for _, m := range d.Adapted {
		fmt.Printf("%s: rank %d, norm %.0f, singular values %.0f\n", m.Module, m.Rank, m.Norm, m.SingularValues)
	}
	// Output:
	// PEFT directory lora [q_proj]
	// layers.0.q_proj: rank 1, norm 30, singular values [30]
}
