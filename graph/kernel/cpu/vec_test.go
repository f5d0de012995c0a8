package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// vectors returns n-element vectors with NaN before and behind, so that a read or write outside shows.
func vectors(r *rand.Rand, count, n int) [][]float32 {
	vs := make([][]float32, count)
	for i := range vs {
		v := make([]float32, n+32)
		for j := range v {
			v[j] = float32(math.NaN())
		}
		vs[i] = v[16 : 16+n : 16+n]
		for j := range vs[i] {
			vs[i][j] = 2*r.Float32() - 1
		}
	}
	return vs
}

func close32(got float32, want, size float64) bool { return math.Abs(float64(got)-want) <= 2e-7*size }

func TestElementwiseEqualsDefinition(t *testing.T) { eachLevel(t, elementwiseEqualsDefinition) }

func elementwiseEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for n := range 150 {
		v := vectors(r, 6, n)
		x, y, dst := v[0], v[1], v[2]
		axpy, scaled, grad := v[3], v[4], v[5]
		axpy0, scaled0, grad0 := append([]float32(nil), axpy...), append([]float32(nil), scaled...), append([]float32(nil), grad...)
		Axpy(0.3, x, axpy)
		Scale(scaled, -1.7)
		SoftmaxGrad(grad, x, 0.125)
		Add(dst, x, y)
		for i := range n {
			if !close32(axpy[i], float64(float32(0.3))*float64(x[i])+float64(axpy0[i]), 2) {
				t.Fatalf("Axpy: element %d of %d is %g", i, n, axpy[i])
			}
			if scaled[i] != -1.7*scaled0[i] || dst[i] != x[i]+y[i] {
				t.Fatalf("Scale or Add: element %d of %d", i, n)
			}
			if !close32(grad[i], float64(x[i])*(float64(grad0[i])-0.125), 2) {
				t.Fatalf("SoftmaxGrad: element %d of %d is %g", i, n, grad[i])
			}
		}
		Mul(dst, x, y)
		for i := range n {
			if dst[i] != x[i]*y[i] {
				t.Fatalf("Mul: element %d of %d", i, n)
			}
		}
	}
}

func TestReductionsEqualFloat64(t *testing.T) { eachLevel(t, reductionsEqualFloat64) }

func reductionsEqualFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100, 127, 128, 129, 1000, 4097} {
		v := vectors(r, 2, n)
		x, y := v[0], v[1]
		var dot, sum, size float64
		top := math.Inf(-1)
		for i := range x {
			dot += float64(x[i]) * float64(y[i])
			sum += float64(x[i])
			size += math.Abs(float64(x[i]))
			top = max(top, float64(x[i]))
		}
		if got := Dot(x, y); !close32(got, dot, size) {
			t.Errorf("Dot of %d: %g, want %g", n, got, dot)
		}
		if got := Sum(x); !close32(got, sum, size) {
			t.Errorf("Sum of %d: %g, want %g", n, got, sum)
		}
		if got := Max(x); float64(got) != top {
			t.Errorf("Max of %d: %g, want %g", n, got, top)
		}
		for i := range n {
			with := append([]float32(nil), x...)
			with[i] = float32(math.NaN())
			if got := Max(with); got == got {
				t.Fatalf("Max of %d with NaN at %d: %g", n, i, got)
			}
			if i > 200 {
				break
			}
		}
	}
}

func TestSoftmaxRowSumsToOne(t *testing.T) { eachLevel(t, softmaxRowSumsToOne) }

func softmaxRowSumsToOne(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for n := 1; n < 100; n++ {
		src := vectors(r, 1, n)[0]
		dst := make([]float32, n)
		top, sum := SoftmaxRow(dst, src)
		total := 0.0
		for i := range dst {
			want := math.Exp(float64(src[i])-float64(top)) / float64(sum)
			if !close32(dst[i], want, 2*want) {
				t.Fatalf("n %d: element %d is %g, want %g", n, i, dst[i], want)
			}
			total += float64(dst[i])
		}
		if math.Abs(total-1) > 1e-6 {
			t.Fatalf("n %d: the probabilities sum to %g", n, total)
		}
	}
	hidden := []float32{float32(math.Inf(-1)), float32(math.Inf(-1))}
	if _, sum := SoftmaxRow(hidden, hidden); sum != 0 || hidden[0] != 0 || hidden[1] != 0 {
		t.Errorf("a row without finite scores gives %v", hidden)
	}
}

func TestAdamWStepEqualsDefinition(t *testing.T) { eachLevel(t, adamWStepEqualsDefinition) }

func adamWStepEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	c := AdamW{Keep: 0.99, Beta1: 0.9, Mix1: 0.1, Beta2: 0.999, Mix2: 0.001, RootCorrection2: 0.3, Eps: 1e-8, Rate: 0.02}
	for n := range 100 {
		v := vectors(r, 4, n)
		x, g, m, s := v[0], v[1], v[2], v[3]
		for i := range s {
			s[i] *= s[i]
			if i%5 == 0 {
				g[i], m[i], s[i] = 0, 0, 0
			}
		}
		want := make([][]float32, 4)
		for i := range v {
			want[i] = append([]float32(nil), v[i]...)
		}
		c.Step(x, g, m, s)
		for i := range n {
			c.reference(&want[0][i], want[1][i], &want[2][i], &want[3][i])
			if x[i] != want[0][i] || m[i] != want[2][i] || s[i] != want[3][i] {
				t.Fatalf("element %d of %d: x %g m %g v %g, want %g %g %g", i, n, x[i], m[i], s[i], want[0][i], want[2][i], want[3][i])
			}
		}
	}
}

// reference is the definition of the step, each operation rounded to float32.
func (c *AdamW) reference(x *float32, g float32, m, v *float32) {
	*m = float32(c.Beta1**m) + float32(c.Mix1*g)
	*v = float32(c.Beta2**v) + float32(float32(c.Mix2*g)*g)
	if *m == 0 {
		*x *= c.Keep
		return
	}
	root := float32(math.Sqrt(float64(*v)))
	*x = float32(c.Keep**x) - float32(c.Rate**m)/(root/c.RootCorrection2+c.Eps)
}
