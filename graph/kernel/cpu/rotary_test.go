package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRotateEqualsDefinition(t *testing.T) { eachLevel(t, rotateEqualsDefinition) }

func rotateEqualsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for half := range 41 {
		for heads := range 4 {
			for _, gap := range []int{0, 5} {
				stride := 2*half + gap
				n := max(0, heads*stride-gap)
				v, angles := vectors(r, 2, n), vectors(r, 2, half)
				dst, src, cos, sin := v[0], v[1], angles[0], angles[1]
				before, over := slices.Clone(dst), slices.Clone(src)
				Rotate(dst, src, cos, sin, -1, heads, stride)
				Rotate(over, over, cos, sin, -1, heads, stride)
				for i := range n {
					j := i % stride
					if j >= 2*half {
						if dst[i] != before[i] || over[i] != src[i] {
							t.Fatalf("%d heads of %d pairs: element %d between them changes", heads, half, i)
						}
						continue
					}
					partner, sign := i+half, 1.0
					if j >= half {
						j, partner, sign = j-half, i-half, -1
					}
					want := float64(src[i])*float64(cos[j]) + sign*float64(src[partner])*float64(sin[j])
					if !close32(dst[i], want, 2) || over[i] != dst[i] {
						t.Fatalf("%d heads of %d pairs: element %d is %g, in place %g, want %g", heads, half, i, dst[i], over[i], want)
					}
				}
			}
		}
	}
}

// More heads than one call of the assembly takes, and more pairs.
func TestRotateLargeVectors(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range []struct{ half, heads int }{{64, 3000}, {asmMost + 11, 2}} {
			src := make([]float32, 2*s.half*s.heads)
			for i := range src {
				src[i] = float32(i % 251)
			}
			cos, sin := make([]float32, s.half), make([]float32, s.half)
			for j := range sin {
				sin[j] = 1
			}
			dst := slices.Clone(src)
			Rotate(dst, src, cos, sin, 1, s.heads, 2*s.half)
			for i, got := range dst {
				want := -float64(src[(i+s.half)%len(src)])
				if i%(2*s.half) >= s.half {
					want = float64(src[i-s.half])
				}
				if float64(got) != want {
					t.Fatalf("%d heads of %d pairs: element %d is %g, want %g", s.heads, s.half, i, got, want)
				}
			}
		}
	})
}
