package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestNormsEqualDefinition(t *testing.T) { eachLevel(t, normsEqualDefinition) }

func normsEqualDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	const gain, mean, scale, offset = 0.75, 0.5, -1.5, 0.25
	for n := range 150 {
		v := vectors(r, 7, n)
		grad, w, x := v[0], v[1], v[2]
		normed, product, sum, pulled := v[3], v[4], v[5], v[6]
		before := slices.Clone(sum)
		Normalize(normed, x, mean, scale, offset)
		ScaledProduct(product, x, w, scale)
		AddNormalized(sum, grad, x, mean, scale)
		for weighted, w := range [][]float32{nil, w} {
			normGrad(pulled, grad, w, x, gain, mean, scale, offset)
			for i := range n {
				g := float64(grad[i])
				if w != nil {
					g *= float64(w[i])
				}
				if want := g*gain + (float64(x[i])-mean)*scale + offset; !close32(pulled[i], want, 3) {
					t.Fatalf("NormGrad, weighted %d: element %d of %d is %g, want %g", weighted, i, n, pulled[i], want)
				}
			}
			for o, operand := range [][]float32{grad, w, x} {
				if operand == nil {
					continue
				}
				in := [][]float32{grad, w, x}
				in[o] = slices.Clone(operand)
				normGrad(in[o], in[0], in[1], in[2], gain, mean, scale, offset)
				if !slices.Equal(in[o], pulled) {
					t.Fatalf("NormGrad, weighted %d, over operand %d of %d elements", weighted, o, n)
				}
			}
		}
		overX, productOverX, productOverY := slices.Clone(x), slices.Clone(x), slices.Clone(w)
		Normalize(overX, overX, mean, scale, offset)
		ScaledProduct(productOverX, productOverX, w, scale)
		ScaledProduct(productOverY, x, productOverY, scale)
		if !slices.Equal(overX, normed) || !slices.Equal(productOverX, product) || !slices.Equal(productOverY, product) {
			t.Fatalf("Normalize or ScaledProduct in place: %d elements", n)
		}
		for i := range n {
			hat := (float64(x[i]) - mean) * scale
			if !close32(normed[i], hat+offset, 2.5) || !close32(product[i], float64(x[i])*scale*float64(w[i]), 1.5) {
				t.Fatalf("Normalize or ScaledProduct: element %d of %d is %g and %g", i, n, normed[i], product[i])
			}
			if want := float64(before[i]) + float64(grad[i])*hat; !close32(sum[i], want, 3) {
				t.Fatalf("AddNormalized: element %d of %d is %g, want %g", i, n, sum[i], want)
			}
		}
	}
}

// normGrad is NormGrad or, with weights, WeightedNormGrad.
func normGrad(dst, grad, w, x []float32, gain, mean, scale, offset float32) {
	if w == nil {
		NormGrad(dst, grad, x, gain, mean, scale, offset)
	} else {
		WeightedNormGrad(dst, grad, w, x, gain, mean, scale, offset)
	}
}

func TestNormSumsEqualFloat64(t *testing.T) { eachLevel(t, normSumsEqualFloat64) }

func normSumsEqualFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	const mean = 0.375
	for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 1000, 4097} {
		v := vectors(r, 3, n)
		grad, w, x := v[0], v[1], v[2]
		var sum, pull, weightedSum, weightedPull, deviations, size float64
		for i := range n {
			g, d := float64(grad[i]), float64(x[i])-mean
			sum += g
			pull += g * d
			weightedSum += g * float64(w[i])
			weightedPull += g * float64(w[i]) * d
			deviations += d * d
			size += 1
		}
		if s, p := NormSums(grad, x, mean); !close32(float32(s), sum, size) || !close32(float32(p), pull, size) {
			t.Errorf("NormSums of %d: %g and %g, want %g and %g", n, s, p, sum, pull)
		}
		if s, p := WeightedNormSums(grad, w, x, mean); !close32(float32(s), weightedSum, size) || !close32(float32(p), weightedPull, size) {
			t.Errorf("WeightedNormSums of %d: %g and %g, want %g and %g", n, s, p, weightedSum, weightedPull)
		}
		if got := Deviations(x, mean); !close32(float32(got), deviations, deviations) {
			t.Errorf("Deviations of %d: %g, want %g", n, got, deviations)
		}
	}
}
